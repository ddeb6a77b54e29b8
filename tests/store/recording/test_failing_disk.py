"""A disk whose n-th write or sync fails: what was acknowledged is there, whichever it was, and the file is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.preload import compile_library

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library(HERE / "failing_disk.c", tmp_path_factory.mktemp("failing"))


def test_whichever_write_or_sync_fails_what_was_acknowledged_is_there(failing_disk: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.recording.on_a_failing_disk", str(tmp_path)],
        env=os.environ | {"LD_PRELOAD": str(failing_disk)},
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3_000:]}"
    runs = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    assert len(runs) == 8
    assert all(int(failed) >= 10 for _, failed in runs), runs
