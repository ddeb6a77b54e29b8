"""`tidegate db`: the record's schema."""

import typer

from tidegate.cli.options import Database

app = typer.Typer(help="Bring the database to this version's schema.", no_args_is_help=True)


@app.command("upgrade")
def upgrade(database: Database = None) -> None:
    """Bring the database to this version's schema. For an embedded SQLite file it happens by itself.

    Example: `tidegate db upgrade --database postgresql://user@host/tidegate`
    """
    from store.database import migrate
    from store.database.engine import Database as Connection
    from tidegate.settings import load_settings

    connection = Connection(load_settings(store={"database": database}).store)
    typer.echo(f"{connection.label} is at revision {migrate.upgrade(connection)}.")
    connection.close()


@app.command("current")
def current(database: Database = None) -> None:
    """Say which revision the database is at, and which one this version needs.

    Example: `tidegate db current`
    """
    from store.database import migrate
    from store.database.engine import Database as Connection
    from tidegate.settings import load_settings

    connection = Connection(load_settings(store={"database": database}).store)
    connection.check_existing()
    typer.echo(
        f"{connection.label} is at {migrate.current_revision(connection) or 'none'}; needed: {migrate.head_revision()}."
    )
    connection.close()
