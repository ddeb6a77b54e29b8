"""`tidegate monitor`: look at production on a schedule, or once."""

import logging
import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import AlertTo, Alpha, Database

if TYPE_CHECKING:
    from monitor.settings import MonitorSettings
    from store.store import Store


def register(app: typer.Typer) -> None:
    app.command("monitor")(monitor)


def monitor(
    once: Annotated[bool, typer.Option("--once", help="Look once, now, and say what was found.")] = False,
    database: Database = None,
    every: Annotated[float | None, typer.Option(help="Minutes between two looks; by default 60.")] = None,
    cron: Annotated[str | None, typer.Option(help='A crontab line in UTC, such as "0 6 * * *".')] = None,
    last: Annotated[
        int | None, typer.Option(help="Look at the last N predictions; by default all since the last verdict.")
    ] = None,
    alpha: Alpha = None,
    alert_to: AlertTo = None,
    public_url: Annotated[str | None, typer.Option(help="Where people open the pages; alerts link there.")] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """**Watch** every model in the database: out-of-domain inputs and shifts, reports and alerts.

    Example: `tidegate monitor --once`
    """
    from store.store import Store
    from tidegate.logs import configure_logging
    from tidegate.monitor_jobs import describe_result, look, run_upkeep
    from tidegate.settings import load_settings

    settings = load_settings(
        store={"database": database},
        monitor={
            "every_minutes": every,
            "cron": cron,
            "last": last,
            "alpha": alpha,
            "destinations": alert_to,
            "public_url": public_url,
        },
    )
    # What one look found is printed; its log lines would say it twice.
    configure_logging(logging.WARNING if once else logging.INFO)
    with Store.open(settings.store, make=not once) as store:
        if not once:
            _run_until_stopped(store, settings.monitor, with_parent)
            return
        pass_results = look(store, settings.monitor)
        run_upkeep(store)
    if not pass_results:
        typer.echo(f"No model was ever served from {store.database.label}, so there is nothing to look at.")
    for result in pass_results:
        typer.echo("\n".join(describe_result(result)))


def _run_until_stopped(store: "Store", settings: "MonitorSettings", with_parent: bool) -> None:
    from monitor.alerts.delivery import deliver_due
    from monitor.scheduling.heartbeat import Heartbeat
    from monitor.scheduling.schedule import MonitorWork, Schedule
    from store.repositories.processes import ProcessKind
    from tidegate.monitor_jobs import look, run_upkeep
    from tidegate.parent_watch import call_when_parent_ends

    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, stop)
    heartbeat = Heartbeat(store, settings, ProcessKind.MONITOR)
    work = MonitorWork(
        look=lambda lease: look(store, settings, lease),
        upkeep=lambda lease: run_upkeep(store, lease),
        deliver=lambda: deliver_due(store, settings),
        heartbeat=heartbeat.job,
    )
    schedule = Schedule(settings, store.jobs, work)
    schedule.start()
    if with_parent:
        call_when_parent_ends(stopped.set)
    else:
        typer.echo(f"Watching {store.database.label}. Ctrl-C stops.")
    stopped.wait()
    schedule.stop()
    heartbeat.end()
