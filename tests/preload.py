"""Libraries that are preloaded into a process to give it a disk that fails or a clock that is set."""

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


def compile_library(source: Path, folder: Path) -> Path:
    """Compile one file of C to a shared library.

    Skips the test where there is no compiler, and fails it where the environment has REQUIRE_CC.
    """
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
    """A wall clock that `set` changes at any time, in every process that is started with `environment`."""

    environment: dict[str, str]
    file: Path

    @classmethod
    def create(cls, folder: Path) -> "SettableClock":
        """A clock that agrees with the machine's until it is set."""
        library = compile_library(Path(__file__).with_name("set_clock.c"), folder)
        clock = cls({"LD_PRELOAD": str(library), "SET_CLOCK": str(folder / "clock")}, folder / "clock")
        clock.file.write_bytes(struct.pack("<q", 0))
        return clock

    def set(self, seconds: int) -> None:
        """Let the clock be so many seconds ahead of the machine's; negative is behind."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("<q", seconds))
