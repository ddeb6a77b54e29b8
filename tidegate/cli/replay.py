"""`tidegate replay`: the numbers behind an alert, made again from its evidence."""

import sys
from typing import Annotated
from uuid import UUID

import typer

from tidegate.cli.options import Database


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    alert: Annotated[
        UUID, typer.Argument(help="The alert's id, or that of the run that raised it.", show_default=False)
    ],
    database: Database = None,
) -> None:
    """Recompute the numbers behind an **alert** from its frozen evidence. Exit code 0: the same, 1: not.

    Example: `tidegate replay 01a20a50-f5ca-7784-a617-0174aa507532`
    """
    from monitor.passes.evidence import replay as replay_run
    from store.store import Store
    from tidegate.settings import load_settings

    store = Store.open(load_settings(store={"database": database}).store)
    runs = {one.id: one.run_id for one in store.alerts.all()}
    runs |= {one.alert_id: one.run_id for one in store.alerts.events(limit=1_000) if one.state.value == "firing"}
    found = replay_run(store, runs.get(alert, alert))
    typer.echo(f"Run {found.run.id}, {found.run.count:,} predictions until {found.run.until:%Y-%m-%d %H:%M:%S} UTC")
    for line in found.lines:
        mark = "same" if line.same else typer.style("differs", fg="red")
        then, now = ("none" if value is None else f"{value:.6g}" for value in (line.then, line.now))
        typer.echo(f"  {mark:>7}  {line.check} {line.number}: {then} then, {now} now")
    if found.missing:
        typer.echo(f"{found.missing:,} predictions are no longer in the record.")
    if found.versions[0] != found.versions[1]:
        typer.echo(f"The alert was raised by Tidegate {found.versions[0]}; this is {found.versions[1]}.")
    store.close()
    sys.exit(0 if found.same else 1)
