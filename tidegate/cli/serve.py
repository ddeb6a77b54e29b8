"""`tidegate serve`: the prediction gateway."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import AlertTo, Database, Export, Imports, Reference, Sha256, reference_beside


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    export: Export,
    reference: Reference = None,
    no_reference: Annotated[
        bool, typer.Option("--no-reference", help="Score nothing, even if a .reference lies beside the export.")
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; by default 127.0.0.1, this machine only.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; by default 8000.")] = None,
    database: Database = None,
    name: Annotated[str | None, typer.Option(help="What the model is called on pages.")] = None,
    monitor: Annotated[
        bool | None,
        typer.Option(
            "--monitor/--no-monitor", help="Run the scheduled monitor beside it (the default).", show_default=False
        ),
    ] = None,
    every: Annotated[
        float | None, typer.Option(help="Minutes between two looks of the monitor; by default 60.")
    ] = None,
    alert_to: AlertTo = None,
    sha256: Sha256 = None,
    import_: Imports = None,
) -> None:
    """**Serve** predictions over HTTP, each recorded and scored before it is answered.

    Example: `tidegate serve digits.pkl --port 8000`
    """
    from tidegate.settings import load_settings

    settings = load_settings(
        serving={"host": host, "port": port, "name": name, "monitor": monitor},
        store={"database": database},
        monitor={"every_minutes": every, "destinations": alert_to},
    )
    from tidegate.server import Server

    with Server(settings) as server:
        server.run(export, None if no_reference else _found(export, reference), sha256, import_)


def _found(export: Path, reference: Path | None) -> Path | None:
    if reference is not None:
        return reference
    beside = reference_beside(export)
    return beside if beside.is_file() else None
