"""The verbs that keep a record: doctor, fsck, backup, export, as an operator types them."""

from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from store.settings import StoreSettings
from store.store import Store
from tests.store.records import MODEL, prediction, register
from tidegate.cli import app


@pytest.fixture
def filled(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'tidegate.db'}"
    store = Store.open(StoreSettings(database=url))
    register(store)
    store.predictions.record(MODEL, [prediction(place) for place in range(7)])
    store.close()
    return url


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_doctor_finds_a_sound_installation_sound(filled: str) -> None:
    code, told = run("doctor", "--database", filled)
    assert code == 0
    assert "✗" not in told
    assert "can be written in" in told


def test_a_doctor_says_what_keeps_an_installation_from_running(tmp_path: Path, postgresql_url: str) -> None:
    code, told = run("doctor", "--database", f"postgresql://nobody@/none?host={tmp_path}")
    assert code == 1
    assert "did not answer" in told
    code, told = run("doctor", "--database", postgresql_url)
    assert code == 1
    assert "tidegate db upgrade" in told


def test_fsck_exits_with_one_until_what_is_wrong_is_mended(filled: str) -> None:
    assert run("fsck", "--database", filled)[0] == 0
    store = Store.open(StoreSettings(database=filled))
    with store.writing() as session:
        session.execute(text("UPDATE tallies SET count = 1"))
    store.close()
    code, told = run("fsck", "--database", filled)
    assert code == 1
    assert "has 7 predictions and 1 are counted (--repair counts again)" in told
    assert run("fsck", "--repair", "--database", filled)[0] == 0


def test_a_backup_and_an_export_are_where_they_were_asked_for(filled: str, tmp_path: Path) -> None:
    code, told = run("backup", str(tmp_path / "copy.db"), "--database", filled)
    assert code == 0
    assert "7 predictions" in told
    assert (tmp_path / "copy.db").stat().st_size > 0
    code, told = run("export", "--model", "digits", "-o", str(tmp_path / "out"), "--database", filled)
    assert code == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == [f"digits-{MODEL[:12]}.parquet"]
    assert "7 predictions" in told
