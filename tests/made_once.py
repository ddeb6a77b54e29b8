"""Things that are made once a run, by whichever of its processes needs them first; the others wait and use them too."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock


@dataclass(frozen=True)
class RunFolder:
    """A folder that all processes of one run share."""

    path: Path

    @classmethod
    def of_this_run(cls, tmp_path_factory: pytest.TempPathFactory) -> "RunFolder":
        """The one below pytest's own folder of this run; its processes each have a folder of their own in there."""
        base = tmp_path_factory.getbasetemp()
        path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
        path.mkdir(exist_ok=True)
        return cls(path)

    def make_once(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of that name, filled by `make` if nobody has filled it yet."""
        folder, complete = self.path / name, self.path / f"{name}.complete"
        with FileLock(self.path / f"{name}.lock"):
            if not complete.exists():
                folder.mkdir()
                make(folder)
                complete.touch()
        return folder
