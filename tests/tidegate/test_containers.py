"""The image and the compose file: what they run exists, what they set is a setting, and nothing runs as root."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tidegate.cli import app
from tidegate.settings import load_settings
from tidegate.testing import running_gateway

ROOT = Path(__file__).parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "tidegate"}


def settings_of_the_image() -> dict[str, str]:
    return dict(re.findall(r"(TIDEGATE_[A-Z_]+)=(\S+)", DOCKERFILE))


@pytest.mark.parametrize("service", OURS)
def test_what_a_service_sets_is_a_setting(service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    defaults = {
        name: re.sub(r"\$\{\w+(?::-(.*?)|:\?.*?)\}", lambda found: found[1] or "secret", value)
        for name, value in OURS[service]["environment"].items()
    }
    for name, value in (settings_of_the_image() | defaults).items():
        monkeypatch.setenv(name, value)
        room, field = name.removeprefix("TIDEGATE_").lower().split("__", 1)
        assert field in type(getattr(load_settings(), room)).model_fields, name
    assert load_settings().store.database == "postgresql://tidegate:secret@postgres/tidegate"
    assert load_settings().serving.host == "0.0.0.0"


@pytest.mark.parametrize("service", OURS)
def test_what_a_service_runs_is_a_verb_with_these_options(service: str) -> None:
    command: Any = get_command(app)
    words = list(OURS[service]["command"])
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert [word for word in words if word.startswith("-") and word not in known] == []


def test_the_services_wait_for_the_migration_and_it_for_the_database() -> None:
    assert OURS["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("gateway", "monitor"):
        assert OURS[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_nothing_runs_as_root_and_nothing_is_open_to_other_machines() -> None:
    user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert user not in ("root", "0")
    assert f"--uid {user} " in DOCKERFILE
    assert COMPOSE["services"]["postgres"]["user"] == "postgres"
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_what_the_image_copies_is_let_through_to_the_build() -> None:
    let_through = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]
    assert sorted(let_through) == sorted(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []


@pytest.mark.e2e
def test_the_health_check_passes_for_a_gateway_that_is_ready_and_fails_for_none() -> None:
    (check,) = re.findall(r"HEALTHCHECK .*?CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    words = [sys.executable, *json.loads(check)[1:]]

    def passes(port: str) -> bool:
        environment = os.environ | {"TIDEGATE_SERVING__PORT": port}
        return subprocess.run(words, env=environment, capture_output=True, check=False, timeout=30).returncode == 0

    with running_gateway() as gateway:
        port = gateway.url.rpartition(":")[2]
        assert passes(port)
    assert not passes(port)
