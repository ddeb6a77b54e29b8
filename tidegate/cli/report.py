"""`tidegate report`: write a drift report to files."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import Database


def register(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    run: Annotated[
        str | None, typer.Argument(help="A run's id; by default the latest with a report.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path(),
    database: Database = None,
    listing: Annotated[bool, typer.Option("--list", help="List the reports in place of writing one.")] = False,
) -> None:
    """Write a **drift report** to files: one page that opens offline, its JSON, and Evidently's page on the columns.

    Example: `tidegate report -o reports/`
    """
    from monitor.overview.runs import list_reported_runs
    from reports.drift import DriftReport
    from tidegate.notebook import find_run
    from tidegate.open_store import open_store

    with open_store(database) as store:
        if listing:
            for entry in list_reported_runs(store):
                typer.echo(
                    f"{entry.id}  {entry.at:%Y-%m-%d %H:%M}  {entry.verdict.value:<8} {entry.count:>8,} predictions"
                )
        else:
            run_id = find_run(store, run)
            drift_report = DriftReport(store.reports.document(run_id))
            typer.echo(drift_report.save(output / f"drift-{run_id}.html"))
            typer.echo(drift_report.save(output / f"drift-{run_id}.json"))
            if store.reports.has_columns_page(run_id):
                columns = output / f"drift-{run_id}-columns.html"
                columns.write_text(store.reports.columns_page(run_id), encoding="utf-8")
                typer.echo(columns)
            elif reason := drift_report.document.get("no_columns_page"):
                typer.echo(f"No page on the columns: {reason}", err=True)
