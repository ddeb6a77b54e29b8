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
    from reports.drift import DriftReport
    from store.store import Store
    from tidegate.notebook import chosen_run
    from tidegate.settings import load_settings

    store = Store.open(load_settings(store={"database": database}).store)
    if listing:
        for entry in store.reports.recent():
            found = store.runs.get(entry.run_id)
            typer.echo(
                f"{entry.run_id}  {entry.at:%Y-%m-%d %H:%M}  {found.verdict.value:<8} {found.count:>8,} predictions"
            )
    else:
        chosen = chosen_run(store, run)
        written = DriftReport(store.reports.document(chosen))
        typer.echo(written.save(output / f"drift-{chosen}.html"))
        typer.echo(written.save(output / f"drift-{chosen}.json"))
        if store.reports.has_columns_page(chosen):
            columns = output / f"drift-{chosen}-columns.html"
            columns.write_text(store.reports.columns_page(chosen), encoding="utf-8")
            typer.echo(columns)
    store.close()
