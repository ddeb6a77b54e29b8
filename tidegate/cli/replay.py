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
    from monitor.passes.replay import replay as replay_run
    from tidegate.open_store import open_store

    with open_store(database) as store:
        runs = {record.id: record.run_id for record in store.alerts.all()}
        runs |= {
            event.alert_id: event.run_id for event in store.alerts.events(limit=1_000) if event.state.value == "firing"
        }
        replayed = replay_run(store, runs.get(alert, alert))
        run = replayed.run
        typer.echo(f"Run {run.id}, {run.count:,} predictions until {run.until:%Y-%m-%d %H:%M:%S} UTC")
        for number in replayed.numbers:
            mark = "same" if number.same else typer.style("differs", fg="red")
            then, now = ("none" if value is None else f"{value:.6g}" for value in (number.recorded, number.replayed))
            typer.echo(f"  {mark:>7}  {number.check} {number.number}: {then} then, {now} now")
        if replayed.missing:
            typer.echo(f"{replayed.missing:,} predictions are no longer in the record.")
        raised_by, replayed_by = replayed.versions
        if raised_by != replayed_by:
            typer.echo(f"The alert was raised by Tidegate {raised_by}; this is {replayed_by}.")
    sys.exit(0 if replayed.same else 1)
