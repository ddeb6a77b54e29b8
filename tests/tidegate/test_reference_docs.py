"""The reference is complete: what the code has, listed here by other means than the generator's, is on its page."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel
from typer.main import get_command

import tidegate
from docs.generator import reference
from docs.generator.remote import remote_in_css, remote_in_html
from tidegate.cli import app
from tidegate.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@cache
def rendered(part: str) -> str:
    return reference.PARTS[part]()


def section(page: str, heading: str) -> str:
    """The text from a heading to the next one of its level or a higher one."""
    level = heading.split(" ")[0]
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{len(level)}}} |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{heading} is missing"
    return found[1]


def commands(group: Any, words: tuple[str, ...] = ("tidegate",)) -> Iterator[tuple[str, Any]]:
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        elif not command.hidden:
            yield " ".join((*words, name)), command


VERBS = dict(commands(get_command(app)))


def rooms() -> Iterator[tuple[str, type[BaseModel]]]:
    waiting: list[tuple[str, Any]] = [(name, field.annotation) for name, field in Settings.model_fields.items()]
    while waiting:
        path, model = waiting.pop()
        yield path, model
        waiting += [
            (f"{path}.{name}", field.annotation)
            for name, field in model.model_fields.items()
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ]


def routes() -> set[str]:
    """Method and path of every route of the application, whether its OpenAPI document tells of it or not."""
    found: set[str] = set()
    waiting = list(reference.application().routes)
    while waiting:
        route = waiting.pop()
        included = getattr(route, "original_router", None)
        if included is not None:
            waiting += included.routes
            continue
        for method in getattr(route, "methods", None) or {"GET"}:
            if method != "HEAD":
                found.add(f"{method} {route.path}")
    return found


@pytest.mark.parametrize("name", tidegate.__all__)
def test_every_public_name_is_on_the_python_page(name: str) -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    assert re.search(rf"^::: tidegate\.{name}$", page, re.MULTILINE), f"add `::: tidegate.{name}` to it"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_there_with_its_example_and_every_option(verb: str) -> None:
    text = section(rendered("command line"), f"## `{verb}`")
    assert f"`{verb}" in text.replace("```", "")
    for parameter in VERBS[verb].params:
        names = parameter.opts + parameter.secondary_opts
        if getattr(parameter, "hidden", False):
            assert not any(f"`{name}`" in text for name in names)
        elif names[0].startswith("-"):
            assert [name for name in names if f"`{name}`" not in text] == []
            assert parameter.help in text.replace("\\|", "|")
        else:
            assert parameter.name.upper() in text or parameter.metavar in text


@pytest.mark.parametrize(("path", "model"), list(rooms()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_setting_is_there_with_its_meaning(path: str, model: type[BaseModel]) -> None:
    text = section(rendered("settings"), f"## `[{path}]`")
    nested = {name for name, inner in rooms() if name.startswith(f"{path}.")}
    for name, field in model.model_fields.items():
        if f"{path}.{name}" in nested:
            continue
        (row,) = re.findall(rf"^\| `{name}` \|.*$", text, re.MULTILINE)
        assert field.description, f"[{path}] {name} says nothing of what it means"
        assert field.description in row.replace("\\|", "|")
        default = field.get_default(call_default_factory=True)
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert f"`{default}`" in row


def test_every_route_is_there() -> None:
    page = rendered("routes")
    # A parameter's converter, such as {path:path}, is no part of its name.
    wanted = {re.sub(r":\w+}", "}", route) for route in routes()} - {"GET /static"} | {"GET /static/{path}"}
    assert len(wanted) > 30
    assert sorted(route for route in wanted if f"`{route}`" not in page) == []


def test_no_page_for_browsers_is_told_of_that_is_not_there() -> None:
    assert sorted(set(reference.PAGES) - routes() - {"GET /static/{path}"}) == []


def test_every_route_says_what_it_does() -> None:
    headings = re.findall(r"^### (`.+`)$", rendered("routes"), re.MULTILINE)
    for heading in headings:
        first = section(rendered("routes"), f"### {heading}").strip().split("\n")[0]
        assert first.endswith((".", ":")) or len(first.split()) > 3, f"{heading}: {first}"


def test_a_parameter_that_cannot_be_used_is_answered_with_a_problem_as_the_page_says() -> None:
    with TestClient(reference.application()) as client:
        answer = client.get("/v1/alerts", params={"state": "sleeping"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "| `422` |" in section(rendered("routes"), "### `GET /v1/alerts`")
    assert "HTTPValidationError" not in rendered("routes")


def test_every_field_of_an_answer_is_there() -> None:
    answers = reference.application().openapi()["components"]["schemas"]
    for name in ("PredictAnswer", "PredictionAnswer", "OodAnswer", "Problem"):
        text = section(rendered("routes"), f"### {name}")
        assert [field for field in answers[name]["properties"] if f"| `{field}` |" not in text] == []


def test_every_metric_is_there_with_its_meaning() -> None:
    told = dict(re.findall(r"^# HELP (\S+) (.+)$", reference.metrics_text(), re.MULTILINE))
    assert len(told) > 5
    for name, meaning in told.items():
        assert f"| `{name}` |" in rendered("metrics")
        assert meaning in rendered("metrics")


def test_every_generated_part_has_a_page_that_asks_for_it() -> None:
    asked = {part for page in DOCS.rglob("*.md") for part in re.findall(r"<!-- generated: (.+?) -->", page.read_text())}
    assert asked == set(reference.PARTS)


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<script src="//cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="HTTP://cdn.example/a.css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img src="https://cdn.example/a.png">',
        "<style>@font-face { src: url('https://fonts.example/a.woff2') }</style>",
        '<div style="background: url(https://cdn.example/a.png)"></div>',
    ],
)
def test_what_a_built_page_would_fetch_from_elsewhere_is_found(page: str) -> None:
    assert len(remote_in_html(page)) == 1


@pytest.mark.parametrize(
    "page",
    [
        '<a href="https://example.org">read on</a>',
        '<link rel="canonical" href="https://docs.example/">',
        '<script src="assets/a.js"></script><img src="data:image/png;base64,AA==">',
        "<p>@import and url(https://example.org) in prose</p>",
    ],
)
def test_what_only_a_person_would_follow_is_not(page: str) -> None:
    assert remote_in_html(page) == []


def test_what_a_style_sheet_would_fetch_is_found() -> None:
    sheet = '@import "https://a.example/x.css"; b { background: url(//b.example/x.png) } c { src: url(own.woff2) }'
    assert remote_in_css(sheet) == ["https://a.example/x.css", "//b.example/x.png"]
