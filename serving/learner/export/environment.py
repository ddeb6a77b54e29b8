"""Which Python and libraries a learner was exported with, and loaded with, in a small JSON file beside the export.

`export.environment.json` belongs to one file by its SHA-256. Of a learner that `tidegate profile` loads, which may come from
another machine, `made_with` tells the Python that its bytecode shows, and is null where it shows none; `profile(learn)` knows
all of it. `loaded_with` is where the profile was made.
"""

import json
import logging
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from serving.learner.export.bytecode import HERE

logger = logging.getLogger(__name__)

FORMAT = 1
PACKAGES = ("fastai", "fastcore", "fasttransform", "torch", "torchvision", "numpy")
# Python, its libraries and the machine, each by its name: {"python": "3.12.1", "fastai": "2.8.12", …}
Environment = dict[str, str]


@dataclass(frozen=True)
class ExportEnvironment:
    """What is known of the environments of one exported file."""

    learner_sha256: str
    made_with: Environment | None
    loaded_with: Environment | None

    @property
    def pythons(self) -> set[str]:
        """The Pythons, such as "3.12", under which it is known to work."""
        known = [environment for environment in (self.made_with, self.loaded_with) if environment is not None]
        return {minor_of(environment["python"]) for environment in known if "python" in environment}


def environment_here() -> Environment:
    """This Python, and the libraries that an export depends on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": f"{sys.platform}-{platform.machine()}",
        **{name: found for name in PACKAGES if (found := _version_of(name)) is not None},
    }


def minor_of(python: str) -> str:
    """The part of a Python's version that its bytecode depends on: "3.12" of "3.12.1"."""
    return ".".join(python.split(".")[:2])


def environment_beside(export: Path) -> Path:
    """The file that tells an export's environments."""
    return export.with_suffix(".environment.json")


def read_environment(export: Path, sha256: str) -> ExportEnvironment | None:
    """What the file beside an export tells; None without one, or where it tells of another file."""
    try:
        document = json.loads(environment_beside(export).read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["learner_sha256"] != sha256:
            return None
        known = ExportEnvironment(sha256, document["made_with"], document["loaded_with"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if all(_is_environment(each) for each in (known.made_with, known.loaded_with)) else None


def write_environment(export: Path, known: ExportEnvironment) -> None:
    """Tell it beside the export, where the folder can be written."""
    document = {"format": FORMAT, **asdict(known)}
    try:
        environment_beside(export).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        logger.warning("%s can't be written: %s. Nothing depends on it here.", environment_beside(export), error)


def differences(made_with: Environment | None) -> str:
    """How this environment differs from the one that made an export: "fastai 2.7.18 (here 2.8.12), …"; "" if it does not."""
    here = environment_here()
    found = []
    for name in ("python", *PACKAGES):
        made, now = (made_with or {}).get(name), here.get(name)
        if made is not None and (minor_of(made) != HERE if name == "python" else made != now):
            found.append(f"{'Python' if name == 'python' else name} {made} (here {now or 'none'})")
    return ", ".join(found)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_environment(value: object) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(part, str) for part in [*value, *value.values()])
    )
