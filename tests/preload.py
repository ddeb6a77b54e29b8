"""Libraries that are preloaded into a process to give it a disk that fails or a clock that is set."""

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


def compiled(source: Path, folder: Path) -> Path:
    """A library made of one file of C; skips where that can't be done, and fails where it must not be skipped."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        if "REQUIRE_CC" in os.environ:
            pytest.fail(f"{source.name} needs Linux and a C compiler")
        pytest.skip(f"{source.name} is preloaded on Linux, and needs a C compiler")
    library = folder / source.with_suffix(".so").name
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class SettableClock:
    """Gives processes that are started with `environment` a wall clock of their own, which `set` changes at any time."""

    environment: dict[str, str]
    file: Path

    @classmethod
    def made(cls, folder: Path) -> "SettableClock":
        """One that is right until it is set."""
        library = compiled(Path(__file__).with_name("set_clock.c"), folder)
        made = cls({"LD_PRELOAD": str(library), "SET_CLOCK": str(folder / "clock")}, folder / "clock")
        made.file.write_bytes(struct.pack("<q", 0))
        return made

    def set(self, seconds: int) -> None:
        """So many seconds ahead of the machine's."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("<q", seconds))
