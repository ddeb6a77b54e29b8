"""`make` says which Python it needs, with the verb that was asked for."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def interpreter(file: Path, version: tuple[int, int]) -> Path:
    """A program that answers what `make` asks an interpreter, as one of this version."""
    file.parent.mkdir(parents=True, exist_ok=True)
    code = f"import sys; sys.version_info = ({version[0]}, {version[1]}, 0); exec(sys.argv[2])"
    file.write_text(f"#!/bin/sh\nexec {shutil.which('python3')} -c '{code}' \"$@\"\n")
    file.chmod(0o755)
    return file


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", ["test", "lint types"])
def test_a_python_that_is_too_old_is_refused_with_a_command_that_does_what_was_asked(tmp_path: Path, verb: str) -> None:
    python = interpreter(tmp_path / "python", (3, 10))
    ended = make(tmp_path, f"PYTHON={python}", *verb.split())
    assert ended.returncode != 0
    assert f"needs Python 3.11 or newer, and {python} is none: make PYTHON=python3.12 {verb}\n" in ended.stdout


def test_a_python_that_is_newer_than_what_is_tested_is_told_of(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "python", (3, 14))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    ended = make(tmp_path, f"PYTHON={python}", "test")
    assert "tested on Python 3.11, 3.12 and 3.13" in ended.stdout
    assert "make PYTHON=python3.13 test\n" in ended.stdout


def test_an_environment_of_another_python_is_not_used_in_silence(tmp_path: Path) -> None:
    interpreter(tmp_path / ".venv" / "bin" / "python", (3, 11))
    python = interpreter(tmp_path / "python", (3, 13))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    ready = tmp_path / ".venv" / "ready"
    ready.touch()
    ended = make(tmp_path, "-o", "pyproject.toml", "-o", "constraints.txt", f"PYTHON={python}", "unit")
    assert ended.returncode != 0
    assert f".venv has Python 3.11, and {python} is 3.13: make clean, then make PYTHON={python} unit\n" in ended.stdout
