"""`tidegate register` and `tidegate ingest`: predictions of a model that is served elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import Database

_ROWS_AT_ONCE = 5_000


def register(app: typer.Typer) -> None:
    app.command("register")(register_model)
    app.command("ingest")(ingest)


def register_model(
    name: Annotated[str, typer.Argument(help="What the model is called.", show_default=False)],
    reference: Annotated[
        Path, typer.Option("--reference", "-r", help="Its reference, made with `fit_reference`.", show_default=False)
    ],
    database: Database = None,
) -> None:
    """**Register** a model that is served elsewhere, so that its predictions can be ingested and watched.

    Example: `tidegate register fraud --reference fraud.reference`
    """
    from monitor.ingest.model_ingest import register_external_model
    from monitor.reference.profile import Reference
    from tidegate.open_store import open_store

    loaded = Reference.load(reference)
    with open_store(database, make=True) as store:
        model = register_external_model(store, name, loaded, reference.read_bytes())
    typer.echo(
        f"{name} is known as {model.sha256[:12]}. Send its predictions to /v1/ingest, or `tidegate ingest FILE`."
    )


def ingest(
    file: Annotated[Path, typer.Argument(help="A Parquet or Arrow file of predictions.", show_default=False)],
    model: Annotated[str, typer.Option(help="Whose they are; registered before.", show_default=False)],
    database: Database = None,
) -> None:
    """**Ingest** predictions from a file: columns `embedding`, `logits`, and if there are any `id`, `at`, `prediction`,
    `tags`. What was ingested before is left out.

    Example: `tidegate ingest yesterday.parquet --model fraud`
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from monitor.ingest.ingest_batch import parse_arrow_table
    from monitor.ingest.model_ingest import ModelIngest
    from store.errors import BadInput
    from tidegate.open_store import open_store

    rows = 0
    with open_store(database) as store:
        try:
            model_ingest = ModelIngest(store, model)
            store.recording.open()
            for batch in pq.ParquetFile(file).iter_batches(_ROWS_AT_ONCE):
                model_ingest.record(parse_arrow_table(pa.Table.from_batches([batch])))
                rows += batch.num_rows
                typer.echo(f"{rows:,} predictions", err=True)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(f"{file} can't be read as Parquet: {error}.") from error
    typer.echo(f"{rows:,} predictions of {model} are in the record.")
