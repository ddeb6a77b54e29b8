"""`tidegate backup`: a checked copy of a SQLite record in use."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import Database


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; it must not exist.", show_default=False)],
    database: Database = None,
) -> None:
    """**Back up** a SQLite record while gateways write to it. The copy is checked before it is called done.

    To restore, stop the gateway and put the copy in the record's place. Example: `tidegate backup nightly.db`
    """
    from store.maintenance.backup import back_up
    from tidegate.open_store import open_store

    with open_store(database) as store:
        copy = back_up(store.database, file)
    typer.echo(
        f"{copy.file}: {copy.predictions:,} predictions, {copy.bytes:,} bytes, checked and whole. SHA-256 {copy.sha256}"
    )
