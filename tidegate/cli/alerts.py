"""`tidegate alerts`: what is firing, and what was."""

from typing import Annotated

import typer

from tidegate.cli.options import Database


def register(app: typer.Typer) -> None:
    app.command("alerts")(alerts)


def alerts(
    database: Database = None,
    firing: Annotated[bool, typer.Option("--firing", help="Only those that fire now.")] = False,
) -> None:
    """List the **alerts** of every model.

    Example: `tidegate alerts --firing`
    """
    from monitor.overview.alerts import read_model_names
    from store.repositories.alerts import AlertState
    from tidegate.commands import command_on
    from tidegate.open_store import open_store

    with open_store(database) as store:
        names = read_model_names(store)
        listed = store.alerts.all(AlertState.FIRING if firing else None)
        if not listed:
            typer.echo("No alert is firing." if firing else "No alert has ever fired.")
        for alert in listed:
            colour = "red" if alert.state is AlertState.FIRING else "green"
            state = typer.style(f"{alert.state.value:<8}", fg=colour)
            typer.echo(f"{state} {names[alert.model_sha256]}: {alert.check}, since {alert.since:%Y-%m-%d %H:%M} UTC")
            typer.echo(f"         {alert.sentence}")
            if alert.state is AlertState.FIRING:
                typer.echo(typer.style(f"         {command_on(store.database, 'replay', str(alert.id))}", dim=True))
