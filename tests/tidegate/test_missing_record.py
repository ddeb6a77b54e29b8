"""A verb that only reads makes none: an empty one in the wrong folder looks like a record in which nothing happened."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import tidegate
from store.errors import NotFound
from tidegate.cli import app

READING = [
    ["monitor", "--once"],
    ["report"],
    ["alerts"],
    ["baseline", "list"],
    ["export", "-o", "out"],
    ["fsck"],
    ["backup", "copy.db"],
    ["ingest", "rows.parquet", "--model", "fraud"],
    ["db", "current"],
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_verb_that_reads_says_that_there_is_no_record_and_makes_none(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match=rf"no record at {tmp_path / 'tidegate.db'}.*--database"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_asking_for_a_report_makes_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="no record at"):
        tidegate.report()
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_says_that_a_record_is_made_later_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examined = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert examined.exit_code == 0
    assert "no record" in examined.output
    assert list(tmp_path.iterdir()) == []


def test_upgrading_makes_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["db", "upgrade"], catch_exceptions=False).exit_code == 0
    assert CliRunner().invoke(app, ["alerts"], catch_exceptions=False).output == "No alert has ever fired.\n"
