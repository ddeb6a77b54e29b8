"""What the documents tell a reader to type and to open is there."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from tidegate.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)

each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def verbs() -> dict[str, set[str]]:
    """Every verb with its options."""
    found: dict[str, set[str]] = {}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        found[name] = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        for inner, nested in getattr(command, "commands", {}).items():
            found[name] |= {inner} | {
                option for parameter in nested.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
    return found


@each
def test_every_command_line_uses_verbs_and_options_that_exist(document: Path) -> None:
    known = verbs()
    for verb, rest in re.findall(r"tidegate ([a-z]+)\b([^`#\n]*)", "\n".join(_commands(document))):
        assert verb in known, f"{document.name}: tidegate {verb}"
        for option in re.findall(r"(?<!\S)--?[a-z][a-z0-9-]*", rest):
            assert option in known[verb], f"{document.name}: tidegate {verb} {option}"


@each
def test_every_verb_of_make_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for verb in re.findall(r"\bmake ([a-z]+)\b", "\n".join(_commands(document))):
        assert verb in targets, f"{document.name}: make {verb}"


@each
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_readme_names_every_verb() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [verb for verb in verbs() if f"tidegate {verb}" not in text] == []


def _commands(document: Path) -> list[str]:
    text = document.read_text(encoding="utf-8")
    return re.findall(r"```bash\n(.*?)```", text, re.DOTALL) + re.findall(r"`((?:tidegate|make) [^`]+)`", text)


@each
def test_every_file_of_the_repository_that_is_named_is_there(document: Path) -> None:
    named = re.findall(
        r"`((?:store|monitor|reports|serving|tidegate|tests|bench|docs|examples|alembic)/[\w./-]*)`", _prose(document)
    )
    assert [name for name in named if not (ROOT / name).exists()] == [], document.name


def _prose(document: Path) -> str:
    # The changelog tells of files as they were.
    return "" if document.name == "CHANGELOG.md" else document.read_text(encoding="utf-8")
