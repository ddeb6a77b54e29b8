"""Renders the command line, settings, routes and metrics as Markdown, read from the code itself."""

import atexit
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

# The only names from inside the rooms. All else that is read here is public: the command line and the settings.
from serving.http.application import create_application
from store.store import Store
from tidegate.cli import app as command_line_app
from tidegate.settings import Settings

# Pages and files for browsers, which the OpenAPI document leaves out.
PAGES = {
    "GET /": "Overview of the model that is served; a list of models where there are several.",
    "GET /models": "Every model that is served here or known to the record.",
    "GET /models/{name}": "Overview of one model: its versions side by side, its latest verdict, its alerts.",
    "GET /alerts": "Alerts that fire and alerts that did, and where they are sent.",
    "GET /try": "A form that predicts one input.",
    "POST /try": "What the form sends.",
    "GET /docs": "The HTTP API, to read and try.",
    "GET /openapi.json": "The OpenAPI document that this reference is made from.",
    "GET /static/{path}": "Style sheets and scripts of the pages.",
}


def command_line() -> str:
    """Every verb with its arguments and options."""
    parts = []
    for words, command in _verbs(get_command(command_line_app), ("tidegate",)):
        parts.append(f"## `{' '.join(words)}`\n\n{_plain(command.help)}\n\n```text\n{_usage(words, command)}\n```\n")
        rows = [_parameter(one) for one in command.params if not getattr(one, "hidden", False)]
        parts.append(_table(("argument or option", "takes", "default", "meaning"), rows))
    return "\n".join(parts)


def settings() -> str:
    """Every setting of every room."""
    return "\n".join(_room(name, field.annotation) for name, field in Settings.model_fields.items())


def routes() -> str:
    """Every HTTP route, by what it is for, and every page."""
    document = application().openapi()
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(_route(method, path, operation))
    parts = [f"## {tag.capitalize()}\n\n" + "\n".join(found) for tag, found in by_tag.items()]
    bodies = {name: of for name, of in document["components"]["schemas"].items() if name not in _NEVER_ANSWERED}
    parts.append("## Bodies\n\n" + "\n".join(_body(*one) for one in bodies.items()))
    pages = _table(("page", "what it shows"), [(f"`{route}`", words) for route, words in PAGES.items()])
    return "\n".join([*parts, "## Pages for browsers\n", pages])


def metrics() -> str:
    """Every metric that `/metrics` has."""
    from prometheus_client.parser import text_string_to_metric_families

    rows: list[tuple[str, ...]] = []
    for family in text_string_to_metric_families(metrics_text()):
        # A counter's name has its suffix on the wire, and in every query.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, family.documentation))
    return _table(("metric", "type", "meaning"), rows)


# FastAPI tells of these by itself. A gateway answers a `Problem` in their place, as a test sees.
_NEVER_ANSWERED = {"HTTPValidationError": "Problem", "ValidationError": "Problem"}
_GENERIC = {"Successful Response": "answered", "Validation Error": "a parameter can't be used; says which and why"}

PARTS: dict[str, Callable[[], str]] = {
    "command line": command_line,
    "settings": settings,
    "routes": routes,
    "metrics": metrics,
}


def metrics_text() -> str:
    """What `/metrics` answers at a gateway that has served nothing yet."""
    from fastapi.testclient import TestClient

    with TestClient(application()) as client:
        return client.get("/metrics").text


@cache
def application() -> Any:
    """A gateway that serves no learner, with an empty record."""
    folder = tempfile.TemporaryDirectory(prefix="tidegate-docs-")
    # The defaults, whatever the environment or a `tidegate.toml` of whoever builds this says.
    record, monitor, serving = (Settings.model_fields[room].default for room in ("store", "monitor", "serving"))
    own = {"database": f"sqlite:///{folder.name}/tidegate.db", "spool": f"{folder.name}/spool"}
    store = Store.open(record.model_copy(update=own))
    # Called in the opposite order: the record is closed before its folder goes.
    atexit.register(folder.cleanup)
    atexit.register(store.close)
    return create_application([], store, monitor, serving)


def _verbs(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    nested = getattr(command, "commands", None)
    if nested is None:
        yield words, command
        return
    for name, inner in nested.items():
        if not inner.hidden:
            yield from _verbs(inner, (*words, name))


def _usage(words: tuple[str, ...], command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    shown = [_argument_name(one) if one.required else f"[{_argument_name(one).strip('[]')}]" for one in arguments]
    return " ".join([*words, *shown, "[OPTIONS]"])


def _argument_name(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _parameter(parameter: Any) -> tuple[str, str, str, str]:
    is_argument = parameter.param_type_name == "argument"
    names = [_argument_name(parameter)] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    takes = "" if getattr(parameter, "is_flag", False) else _taken(parameter)
    default = "*required*" if parameter.required else _default(parameter.default)
    if getattr(parameter, "is_flag", False) and parameter.default is False:
        default = "off"
    return ", ".join(f"`{name}`" for name in names), takes, default, parameter.help or ""


def _taken(parameter: Any) -> str:
    kind = parameter.bare_type()
    if kind.startswith("list["):
        return f"`{kind.removeprefix('list[').removesuffix(']').lower()}`, several times"
    return f"`{kind.lower()}`"


def _room(path: str, model: Any) -> str:
    rows: list[tuple[str, ...]] = []
    nested: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            nested.append((f"{path}.{name}", field.annotation))
            continue
        default = _default(field.get_default(call_default_factory=True))
        rows.append((f"`{name}`", _kind(field), default, field.description or ""))
    table = _table(("setting", "takes", "default", "meaning"), rows)
    prefix = f"TIDEGATE_{path}.".upper().replace(".", "__")
    summary = f"{_plain(model.__doc__)} In the environment: `{prefix}` and the name in capitals."
    return "\n".join([f"## `[{path}]`\n\n{summary}\n\n{table}", *(_room(*inner) for inner in nested)])


def _kind(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    kind = str(annotation) if hasattr(annotation, "__args__") else annotation.__name__
    choices = getattr(annotation, "__members__", None)
    if choices is not None:
        return " or ".join(f"`{choice.value}`" for choice in choices.values())
    signs = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [
        f"{words} {getattr(bound, sign)}"
        for bound in field.metadata
        for sign, words in signs.items()
        if getattr(bound, sign, None) is not None
    ]
    return ", ".join([f"`{kind}`", *bounds])


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"### `{method.upper()} {path}`\n", f"{operation.get('description', operation.get('summary', ''))}\n"]
    parameters = [
        (f"`{one['name']}`", one["in"], "yes" if one.get("required") else "no", one.get("description", ""))
        for one in operation.get("parameters", [])
    ]
    if parameters:
        lines.append(_table(("parameter", "in", "required", "meaning"), parameters))
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        bodies = [(f"`{kind}`", _shape(sent.get("schema", {}))) for kind, sent in content.items()]
        lines.append(_table(("body, one of", "what it is"), bodies))
    answers = [
        (f"`{status}`", _GENERIC.get(answer["description"], answer["description"]), _answered(answer))
        for status, answer in operation["responses"].items()
    ]
    return "\n".join([*lines, _table(("status", "meaning", "body"), answers)])


def _answered(answer: dict[str, Any]) -> str:
    shapes = {_shape(content.get("schema", {})) for content in answer.get("content", {}).values()}
    return ", ".join(sorted(shapes))


def _body(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (f"`{field}`", _shape(of), "yes" if field in required else "no", of.get("description", ""))
        for field, of in schema.get("properties", {}).items()
    ]
    table = _table(("field", "type", "always there", "meaning"), rows)
    return f"### {name}\n\n{_plain(schema.get('description', ''))}\n\n{table}"


def _shape(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        name = _NEVER_ANSWERED.get(name, name)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_shape(one) for one in schema["anyOf"])
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_shape(schema.get('items', {})) or 'anything'}"
    if "properties" in schema:
        fields = ", ".join(f"`{name}` ({_shape(field)})" for name, field in schema["properties"].items())
        return f"object with {fields}"
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return f"object of {_shape(schema['additionalProperties'])}"
    if schema.get("format") == "binary":
        return "bytes"
    return kind


def _default(value: Any) -> str:
    value = getattr(value, "value", value)
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`"


def _plain(text: str | None) -> str:
    lines = (text or "").strip().split("\n")
    return "\n".join(line.strip() for line in lines)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
