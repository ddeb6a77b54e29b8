"""Libraries that are preloaded into a process to give it a disk that fails or a clock that is set."""

import os
import shutil
import subprocess
import sys
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
