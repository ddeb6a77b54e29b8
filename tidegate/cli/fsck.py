"""`tidegate fsck`: is the record sound?"""

from typing import Annotated

import typer

from tidegate.cli.options import Database


def register(app: typer.Typer) -> None:
    app.command("fsck")(fsck)


def fsck(
    mend: Annotated[bool, typer.Option("--repair", help="Mend what can be mended without losing anything.")] = False,
    database: Database = None,
) -> None:
    """**Check** that the record and the spool are sound; exit with 1 if they are not.

    Example: `tidegate fsck --repair`
    """
    from store.maintenance.fsck import examine, repair
    from tidegate.open_store import open_store

    with open_store(database) as store:
        if mend:
            for line in repair(store.database):
                typer.echo(f"mended: {line}")
        findings = list(examine(store.database))
    for finding in findings:
        remedy = "" if finding.repair is None else f" (--repair {finding.repair})"
        typer.secho(f"{finding.what}{remedy}", fg=typer.colors.RED)
    if findings:
        raise typer.Exit(1)
    typer.echo(f"{store.database.label} is sound.")
