"""Which exports cross from one Python to another: each is made on every Python that is here, and loaded on every one.

    python -m tests.compatibility.python_versions                  compare with the table in the documentation
    python -m tests.compatibility.python_versions --write          write that table
    python -m tests.compatibility.python_versions --set-up --test  first make an environment for each, and run the tests that
                                                                   depend on the Python

Pythons are looked for as `python3.12` and among those of pyenv, or named: `--python 3.12=PATH` (one with the libraries).
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serving.learner.export.bytecode import HERE
from tests.compatibility.other_pythons.load import Outcome, outcomes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "pythons.md"
PYTHONS = ("3.11", "3.12", "3.13")
# What depends on the Python: bytecode and pickles.
TESTS = ("tests/serving/learner", "tests/compatibility")
INSTALL_SECONDS, TEST_SECONDS, MAKE_SECONDS = 300, 300, 120
# What would be installed past these is skipped: CI has half an hour for everything.
BUDGET_SECONDS = 540
# What those tests need beside Tidegate; constraints.txt pins them.
LIBRARIES = ("--editable", ".[demo]", "filelock", "hypothesis", "pytest", "pytest-xdist")
# An environment with torch's build for GPUs, which is what the registry has for Linux.
ENVIRONMENT_BYTES = 10 * 2**30
_TABLE = re.compile(r"(?<=<!-- pythons: table -->\n).*?(?=<!-- pythons: end -->)", re.DOTALL)

Cells = dict[tuple[str, str, str], str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], metavar="VERSION=PATH")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--set-up", action="store_true")
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    named = {version: Path(path) for version, _, path in (given.partition("=") for given in options.python)}
    pythons = pythons_here(named, install=options.set_up)
    failed = [
        version for version, python in pythons.items() if options.test and version != HERE and not test(version, python)
    ]
    cells = compare(pythons)
    text = PAGE.read_text(encoding="utf-8")
    if options.write:
        PAGE.write_text(_TABLE.sub(lambda _: table(cells), text), encoding="utf-8")
        say(f"Written to {PAGE.relative_to(ROOT)}")
    told = read_table(text)
    different = [] if options.write else [key for key, cell in cells.items() if told.get(key) != cell]
    for kind, made, loaded in different:
        say(
            f"{kind}: made on {made}, loaded on {loaded}: {cells[kind, made, loaded]}, and the page says "
            f"{told.get((kind, made, loaded), 'nothing')}. Mend it, or give --write."
        )
    say(f"{len(cells)} pairs of export and Python were tried, on Python {', '.join(pythons)}")
    return 1 if failed or different else 0


def pythons_here(named: dict[str, Path], *, install: bool) -> dict[str, Path]:
    """The Pythons to try, by version; says which are skipped and why."""
    found: dict[str, Path] = {}
    began = time.monotonic()
    for version in PYTHONS:
        python, reason = named.get(version), "it has no Tidegate: give --set-up"
        if python is None and version == HERE:
            python = Path(sys.executable)
        elif python is None and install and time.monotonic() - began > BUDGET_SECONDS - INSTALL_SECONDS:
            reason = "the others took too long"
        elif python is None and install:
            python, reason = set_up(version)
        if python is None:
            say(f"Python {version} is skipped: {reason}")
        else:
            found[version] = python
    return found


def set_up(version: str) -> tuple[Path | None, str]:
    """An environment with Tidegate for this Python, in the repository's folder; or why there is none."""
    python = ROOT / f".venv-{version}" / "bin" / "python"
    if (python.parents[1] / "ready").is_file():
        return python, ""
    base = find(version)
    if base is None:
        return None, f"there is no python{version} on the path or among pyenv's"
    if shutil.disk_usage(ROOT).free < ENVIRONMENT_BYTES:
        return None, f"its libraries need {ENVIRONMENT_BYTES / 2**30:g} GiB of disk"
    say(f"Python {version}: installing into {python.parents[1].name}, a few minutes the first time")
    began = time.monotonic()
    install = ["-m", "pip", "install", "--quiet", *LIBRARIES, "--constraint", "constraints.txt"]
    for command in ([str(base), "-m", "venv", str(python.parents[1])], [str(python), *install]):
        reason = attempt(command, INSTALL_SECONDS)
        if reason:
            return None, f"its libraries can't be installed: {reason}"
    (python.parents[1] / "ready").touch()
    say(f"Python {version}: installed in {time.monotonic() - began:.0f} s")
    return python, ""


def find(version: str) -> Path | None:
    """A Python of this version."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [*([Path(on_path)] if on_path else []), *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    check = f"import sys; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    # pyenv's `python3.12` may be a script that says it has none.
    return next((python for python in candidates if not attempt([str(python), "-c", check], 60)), None)


def attempt(command: list[str], seconds: float) -> str:
    """Why a command failed, in a line; "" when it did not."""
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error).splitlines()[0]
    if ended.returncode == 0:
        return ""
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line), lines[-1] if lines else f"exit code {ended.returncode}")


def test(version: str, python: Path) -> bool:
    """Run the tests that depend on the Python."""
    began = time.monotonic()
    command = [str(python), "-m", "pytest", "-q", "-m", "not e2e", *TESTS]
    if importlib.util.find_spec("xdist") is not None:
        command += ["--numprocesses", os.environ.get("TESTERS", "2"), "--dist", "loadgroup", "--no-loadscope-reorder"]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=TEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        say(f"Python {version}: the tests did not end in {TEST_SECONDS} s")
        return False
    if ended.returncode != 0:
        say(ended.stdout + ended.stderr)
    say(f"Python {version}: {ended.stdout.strip().splitlines()[-1]} ({time.monotonic() - began:.0f} s)")
    return ended.returncode == 0


def compare(pythons: dict[str, Path]) -> Cells:
    """What became of each kind of export, by the Python that made it and the one that loaded it."""
    with tempfile.TemporaryDirectory(prefix="tidegate-pythons-") as folder:
        exports: list[tuple[str, Path]] = []
        for version, python in pythons.items():
            made = Path(folder) / version
            script = str(ROOT / "tests" / "compatibility" / "other_pythons" / "make.py")
            subprocess.run(
                [str(python), script, str(made)],
                env=environment(),
                check=True,
                capture_output=True,
                timeout=MAKE_SECONDS,
            )
            exports += [(version, made / f"{kind}.pkl") for kind in json.loads((made / "answers.json").read_text())]
        cells = {}
        for version, python in pythons.items():
            found = outcomes(str(python), [export for _, export in exports], environment())
            for (made_on, export), outcome in zip(exports, found, strict=True):
                cells[export.stem, made_on, version] = in_words(outcome)
        return cells


def in_words(outcome: Outcome) -> str:
    """What became of one export."""
    if outcome.ended is not None:
        return f"ends the process ({outcome.ended})"
    if outcome.probabilities is None:
        return "refused"
    expected = json.loads((outcome.export.parent / "answers.json").read_text())[outcome.export.stem]
    difference = max(abs(a - b) for a, b in zip(outcome.probabilities, expected, strict=True))
    return "served" if difference < 1e-5 else f"differs by {difference:.1g}"


def table(cells: Cells) -> str:
    """The cells as a table of Markdown: a row for each kind, a column for each pair of Pythons."""
    pairs = list(dict.fromkeys((made, loaded) for _, made, loaded in cells))
    kinds = list(dict.fromkeys(kind for kind, _, _ in cells))
    lines = ["| kind of export | " + " | ".join(f"{made} → {loaded}" for made, loaded in pairs) + " |"]
    lines.append("|---|" + "---|" * len(pairs))
    for kind in kinds:
        lines.append("| " + " | ".join([in_prose(kind), *(cells.get((kind, *pair), "") for pair in pairs)]) + " |")
    return "\n".join(lines) + "\n"


def read_table(text: str) -> Cells:
    """The cells of the table in the page."""
    found = _TABLE.search(text)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (found[0] if found else "").splitlines()]
    if len(rows) < 2:
        return {}
    pairs = [tuple(head.split(" → ")) for head in rows[0][1:]]
    return {
        (row[0].replace(" ", "_"), made, loaded): cell
        for row in rows[2:]
        for (made, loaded), cell in zip(pairs, row[1:], strict=True)
    }


def in_prose(kind: str) -> str:
    return kind.replace("_", " ")


def environment() -> dict[str, str]:
    """Where this tree's packages are found, whichever tree a Python has installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
