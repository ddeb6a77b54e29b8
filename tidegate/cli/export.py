"""`tidegate export`: the record as Parquet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import Database


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="A model's name or the beginning of its hash; by default all.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", help="Predictions after this instant, in UTC; by default the first.")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Up to this instant, in UTC; by default now.")] = None,
    database: Database = None,
) -> None:
    """**Export** predictions, embeddings and scores to Parquet files that pandas, Polars and DuckDB read.

    Example: `tidegate export --model digits --from 2026-11-01 -o out/`
    """
    from store.clock import EPOCH
    from store.errors import NotFound
    from store.maintenance.export import export_predictions
    from tidegate.open_store import open_store

    with open_store(database) as store:
        models = store.models.matching(model)
        if not models:
            raise NotFound(f"No model {model or ''} was ever served from {store.database.label}.")
        start = EPOCH if since is None else since.replace(tzinfo=UTC)
        end = store.jobs.now() if until is None else until.replace(tzinfo=UTC)
        for record in models:
            file = output / f"{record.name}-{record.sha256[:12]}.parquet"
            rows = export_predictions(store.database, record.sha256, start, end, file)
            typer.echo(f"{file}: {rows:,} predictions")
