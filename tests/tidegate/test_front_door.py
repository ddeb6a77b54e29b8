"""The front door: names that come when asked for, help that comes at once, settings in one place."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tidegate
from store.errors import BadSettings
from tidegate.cli import app
from tidegate.settings import load_settings

VERBS = [
    *(
        "profile",
        "tune",
        "serve",
        "check",
        "monitor",
        "report",
        "alerts",
        "replay",
        "settings",
        "db upgrade",
        "db current",
    ),
    *("rollout shadow", "rollout canary", "rollout promote", "rollout stop", "rollout reload", "rollout show"),
    *("baseline pin", "baseline list", "baseline use", "baseline compare"),
]


def modules_after(code: str) -> set[str]:
    """The modules that a fresh Python holds after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_importing_tidegate_imports_nothing_heavy() -> None:
    assert not modules_after("import tidegate") & {"numpy", "torch", "fastai", "sqlalchemy", "fastapi"}


def test_help_imports_nothing_heavy() -> None:
    code = "from typer.testing import CliRunner\nfrom tidegate.cli import app\nCliRunner().invoke(app, ['--help'])"
    assert not modules_after(code) & {"numpy", "torch", "fastai", "sqlalchemy", "fastapi", "pydantic"}


def test_watching_needs_neither_torch_nor_fastai() -> None:
    assert not modules_after("import tidegate.monitor_jobs, tidegate.cli.monitor") & {"torch", "fastai", "evidently"}


@pytest.mark.parametrize("name", tidegate.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tidegate, name).__name__ == name
    assert name in dir(tidegate)


def test_a_name_that_is_not_public_is_missing_as_ever() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tidegate.nothing  # noqa: B018


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_an_example(verb: str) -> None:
    result = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"tidegate {verb}" in result.output


def test_settings_print_as_a_file_that_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(app, ["settings"]).output
    assert tomllib.loads(printed)["store"]["database"] == "sqlite:///tidegate.db"
    Path("tidegate.toml").write_text(printed.replace("every_minutes = 60.0", "every_minutes = 5.0"))
    assert load_settings().monitor.every_minutes == 5.0


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tidegate.toml").write_text("[serving]\nport = 1\nhost = 'a'\nname = 'file'\n")
    monkeypatch.setenv("TIDEGATE_SERVING__PORT", "2")
    monkeypatch.setenv("TIDEGATE_SERVING__HOST", "b")
    found = load_settings(serving={"port": 3, "host": None}).serving
    assert (found.port, found.host, found.name) == (3, "b", "file")


@pytest.mark.parametrize(
    ("text", "said"),
    [("[serving]\nport = 'x'", "serving.port"), ("[serving", "can't be read"), ("[nothing]\na = 1", "nothing")],
)
def test_settings_that_do_not_fit_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tidegate.toml").write_text(text)
    with pytest.raises(BadSettings, match=said):
        load_settings()
