"""`tidegate settings`: every setting, its value and what it means."""

from typing import Any

import typer


def register(app: typer.Typer) -> None:
    app.command("settings")(settings)


def settings() -> None:
    """Print every **setting** with its value, as a `tidegate.toml` that can be edited.

    Example: `tidegate settings > tidegate.toml`
    """
    from tidegate.settings import load_settings

    loaded = load_settings()
    typer.echo("# Settings of Tidegate. The environment goes before this file: TIDEGATE_STORE__DATABASE=…")
    for room in type(loaded).model_fields:
        _print_section(room, getattr(loaded, room))


def _print_section(name: str, values: Any) -> None:
    from pydantic import BaseModel

    typer.echo(f"\n[{name}]")
    nested = []
    for field, definition in type(values).model_fields.items():
        value = getattr(values, field)
        if isinstance(value, BaseModel):
            nested.append((f"{name}.{field}", value))
            continue
        comment = f"  # {definition.description}" if definition.description else ""
        typer.echo(f"{'# ' if value is None else ''}{field} = {_toml_value(value)}{comment}")
    for path, inner in nested:
        _print_section(path, inner)


def _toml_value(value: Any) -> str:
    import json

    return '""' if value is None else json.dumps(value)
