"""`tidegate serve`: the prediction gateway."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import (
    AlertTo,
    Database,
    Device,
    EmbeddingLayer,
    Imports,
    Reference,
    reference_beside,
)


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    exports: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[EXPORT...]",
            help="Files that `learn.export()` wrote; the first is the default. With none, predictions that are made "
            "elsewhere are taken at /v1/ingest.",
            show_default=False,
        ),
    ] = None,
    reference: Reference = None,
    no_reference: Annotated[
        bool, typer.Option("--no-reference", help="Score nothing, even if a .reference lies beside the export.")
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; by default 127.0.0.1, this machine only.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; by default 8000.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port; by default 1.", min=1)] = None,
    database: Database = None,
    on_full: Annotated[
        str | None,
        typer.Option(
            help='On a full disk "refuse" predictions (the default), or "serve" them unrecorded and count them.'
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What the model is called; by default its file's name, or its folder's for an export.pkl."),
    ] = None,
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
    device: Device = None,
    embedding_layer: EmbeddingLayer = None,
    sha256: Annotated[
        list[str] | None,
        typer.Option(
            "--sha256", help="Refuse an export, before loading it, if its SHA-256 is another; one for each export."
        ),
    ] = None,
    import_: Imports = None,
    worker: Annotated[str | None, typer.Option("--worker", hidden=True)] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """**Serve** predictions over HTTP, each recorded and scored before it is answered.

    Example: `tidegate serve digits.pkl --port 8000`
    """
    from store.errors import BadSettings
    from tidegate.settings import load_settings

    exports = exports or []
    if len(exports) > 1 and (reference is not None or name is not None):
        raise BadSettings(
            "--reference and --name are for one export. With several, each is called by its file's name and finds the "
            ".reference file beside it."
        )
    if sha256 and len(sha256) != len(exports):
        raise BadSettings(
            f"{len(exports)} exports and {len(sha256)} hashes came. Give --sha256 once for each, in order."
        )
    settings = load_settings(
        serving={
            "host": host,
            "port": port,
            "name": name,
            "monitor": monitor,
            "workers": workers,
            "device": device,
            "embedding_layer": embedding_layer,
        },
        store={"database": database, "on_full": on_full},
        monitor={"every_minutes": every, "destinations": alert_to},
    )
    from tidegate.operator_messages import tell_start

    if worker is None:
        tell_start()
    from tidegate.server import NamedExport, Server
    from tidegate.workers import WorkerSlot

    hashes: list[str | None] = [*sha256] if sha256 else [None] * len(exports)
    named = [
        NamedExport(export, None if no_reference else _find_reference(export, reference), digest, tuple(import_ or ()))
        for export, digest in zip(exports, hashes, strict=True)
    ]
    with Server(settings, None if worker is None else WorkerSlot.parse(worker)) as server:
        server.run(
            named,
            with_parent=with_parent,
            arguments=_worker_arguments(exports, reference, no_reference, hashes, import_),
        )


def _find_reference(export: Path, reference: Path | None) -> Path | None:
    if reference is not None:
        return reference
    beside = reference_beside(export)
    return beside if beside.is_file() else None


def _worker_arguments(
    exports: list[Path],
    reference: Path | None,
    no_reference: bool,
    hashes: list[str | None],
    imports: list[str] | None,
) -> list[str]:
    """How a worker's command line names the same learners; everything else reaches it as settings."""
    arguments = [str(export) for export in exports]
    arguments += [] if reference is None else ["--reference", str(reference)]
    arguments += ["--no-reference"] if no_reference else []
    arguments += [argument for digest in hashes if digest is not None for argument in ("--sha256", digest)]
    return arguments + [argument for module in imports or () for argument in ("--import", module)]
