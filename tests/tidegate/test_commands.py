"""Command lines that people are told to run work from any folder and show no password."""

from pathlib import Path

import pytest

from store.database.engine import Database
from store.settings import StoreSettings
from tidegate.commands import command_on


def command(url: str) -> str:
    return command_on(Database(StoreSettings(database=url)), "monitor", "--once")


def test_a_file_is_named_from_the_root_whatever_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("sqlite:///a.db") == f"tidegate monitor --once --database sqlite:///{tmp_path / 'a.db'}"


def test_a_name_that_a_shell_would_take_apart_is_quoted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'two words.db'}"
    assert command(url) == f"tidegate monitor --once --database '{url}'"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:secret@host/tidegate",
        "postgresql://ada@host/tidegate?password=secret",
        "postgresql://ada@host/tidegate?sslpassword=secret",
    ],
)
def test_a_password_is_not_printed(url: str) -> None:
    assert command(url) == "tidegate monitor --once, with the --database that was given here"


def test_a_postgresql_without_a_password_is_named() -> None:
    url = "postgresql://ada@host/tidegate"
    assert command(url) == f"tidegate monitor --once --database {url}"


def test_a_record_in_memory_can_not_be_named() -> None:
    assert "--database that was given here" in command("sqlite://")
