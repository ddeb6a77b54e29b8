"""A file of the user's own that has the name of one of Tidegate's packages."""

import os
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

import tidegate
from tidegate.shadowed_packages import ROOMS, check_shadowed_packages

HOME = Path(tidegate.__file__).parents[1]


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python started in a folder, as a notebook's kernel is; Tidegate comes later on its path."""
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("room", ROOMS)
def test_a_users_file_that_hides_a_package_is_named_in_one_error(tmp_path: Path, room: str) -> None:
    (tmp_path / f"{room}.py").write_text("raise SystemError('imported')\n")
    done = python(tmp_path, "-c", "from tidegate import TidegateError")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: The folder {tmp_path} has a file {room}.py, which Python finds before Tidegate's own package "
        f"`{room}`: rename it or start Python elsewhere."
    )
    assert "During handling" not in done.stderr


def test_a_users_package_that_hides_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor" / "__init__.py").write_text("")
    done = python(tmp_path, "-c", "import tidegate; tidegate.fit_reference")
    assert f"The folder {tmp_path} has a folder monitor, which Python finds before" in done.stderr


def test_what_was_imported_already_is_noticed_too(tmp_path: Path) -> None:
    (tmp_path / "store.py").write_text("")
    done = python(tmp_path, "-c", "import store, sys; sys.path.pop(0); import tidegate; tidegate.TidegateError")
    assert f"The folder {tmp_path} has a file store.py" in done.stderr


def test_the_command_line_says_it_in_one_line_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "serving.py").write_text("")
    done = python(tmp_path, "-m", "tidegate", "settings")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"The folder {tmp_path} has a file serving.py" in line


def test_a_folder_that_is_no_package_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    done = python(tmp_path, "-c", "import tidegate; tidegate.TidegateError")
    assert done.returncode == 0, done.stderr


def test_a_look_takes_less_than_a_millisecond_and_the_next_ones_next_to_nothing() -> None:
    assert min(timeit.repeat(check_shadowed_packages.__wrapped__, number=10, repeat=5)) / 10 < 1e-3
    assert min(timeit.repeat(check_shadowed_packages, number=1_000, repeat=5)) / 1_000 < 1e-5
