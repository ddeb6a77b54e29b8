"""The first minutes of a new user: something is said at once, and what is said works as it stands."""

import shlex
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serving.client import Client
from tests.e2e.harness import command, environment, gateway, run
from tidegate.testing import tiny_learner

pytestmark = pytest.mark.e2e


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A copy that was never served, with its reference beside it."""
    tiny = tiny_learner()
    for file in (tiny.export, tiny.reference):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / tiny.export.name


def steps(lines: list[str]) -> list[str]:
    """The first words of what a gateway said until it served."""
    said = [line.split()[0].rstrip(":") for line in lines]
    return said[: said.index("Tidegate")]


def test_a_first_start_says_what_it_does_and_names_commands_that_work_from_anywhere(
    export: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with gateway(export, folder=tmp_path) as served:
        assert steps(served.lines) == ["Starting", "Loading", "Measuring"]
        (hint,) = [line for line in served.lines if "monitor --once" in line]
        words = shlex.split(hint.partition("; now: ")[2])
        assert words[0] == "tidegate"
        rows = [{"width": 30.0 + value, "height": 40.0, "colour": "red"} for value in np.linspace(0, 1, 128)]
        with Client(served.address) as client:
            for start in range(0, len(rows), 64):
                client.predict_many(rows[start : start + 64])
        looked = subprocess.run(
            command(*words[1:]), cwd=elsewhere, env=environment(), capture_output=True, text=True, check=True
        )
        assert "shifted" in looked.stdout
        assert f"{served.address}/reports/" in looked.stderr
    assert list(elsewhere.iterdir()) == []


def test_a_gateway_that_can_flag_nothing_says_so_and_what_to_do(export: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"width": rng.normal(size=240), "height": rng.normal(size=240), "colour": "red"})
    table["size"] = np.where(table["width"] + table["height"] > 0, "large", "small")
    # With pandas' index, as most tables are saved.
    table[:200].to_csv(tmp_path / "train.csv")
    table[200:].to_csv(tmp_path / "valid.csv", index=False)
    profiled = run("profile", export, "--data", "train.csv", "--valid", "valid.csv", folder=tmp_path)
    assert profiled.returncode == 0, profiled.stderr
    assert "train.csv: ignored the column 'Unnamed: 0'" in profiled.stderr
    assert "valid.csv" not in profiled.stderr
    assert profiled.stdout.count("no input can be flagged") == 1
    with gateway(export, "--no-monitor", folder=tmp_path) as served:
        (note,) = [line for line in served.lines if "no input can be flagged" in line]
        assert "give 132 or more" in note


def test_workers_do_not_repeat_what_the_first_one_says(export: Path, tmp_path: Path) -> None:
    with gateway(export, "--no-monitor", "--workers", "2", folder=tmp_path) as served:
        assert steps(served.lines) == ["Starting", "Loading", "Measuring"]
        assert sum("code and runs when loaded" in line for line in served.lines) == 1
