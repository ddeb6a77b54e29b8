"""What the monitor does when it is due: a look, from windows to reports and messages, and the upkeep after it."""

import logging

from monitor.alerts.delivery import deliver_due
from monitor.history.reconcile import reconcile_history
from monitor.history.report_material import ReportMaterial, read_report_material
from monitor.passes.monitor_pass import PassResult
from monitor.passes.run_passes import deserves_report, run_passes
from monitor.settings import MonitorSettings
from reports.columns_page import ColumnsPage, columns_page
from reports.drift import drift_report
from store.errors import LeaseLost, TidegateError
from store.repositories.jobs import Lease, no_fence
from store.repositories.runs import Verdict
from store.store import Store

logger = logging.getLogger(__name__)


def look(store: Store, settings: MonitorSettings, lease: Lease | None = None) -> list[PassResult]:
    """Look at every model once, write the reports, and send what destinations are owed.

    Raises:
        LeaseLost: another monitor has taken over.
    """
    fence = no_fence if lease is None else lease.fence
    results = run_passes(store, settings, fence=fence)
    for result in results:
        if deserves_report(result):
            write_report(store, result, columns=settings.columns_report)
    deliver_due(store, settings)
    return results


def describe_result(result: PassResult) -> list[str]:
    """What a look found, in a line for people, and a line for each alert that changed."""
    run = result.run
    verdict = "" if run.verdict is Verdict.NOT_ENOUGH_DATA else f"{run.verdict.value}. "
    events = [f"  alert {event.state.value}: {event.check}" for event in result.events]
    return [f"{result.model.name}: {verdict}{run.sentence}", *events]


def run_upkeep(store: Store, lease: Lease | None = None) -> None:
    """Make the history of every model exact, add old counts up, and forget what is too old.

    Raises:
        LeaseLost: another monitor has taken over.
        StoreUnavailable: the database does not answer.
    """
    fence = no_fence if lease is None else lease.fence
    now = store.jobs.now()
    for model in store.models.all():
        try:
            reconcile_history(store, model, now, fence)
        except LeaseLost:
            raise
        except TidegateError:
            logger.exception("the history of %s could not be mended; the next upkeep tries again", model.name)
    store.run_housekeeping(now)


def write_report(store: Store, result: PassResult, *, columns: bool) -> None:
    """Write the report of one pass, and Evidently's page on its columns beside it."""
    try:
        material = read_report_material(result, store.predictions, with_columns=columns)
    except TidegateError:
        # The verdict is committed, and alerts link to its report.
        logger.exception("the inputs of run %s can't be read; its report goes out without them", result.run.id)
        material = ReportMaterial({}, [])
    page = columns_page(result, material) if columns else ColumnsPage(None)
    report = drift_report(result, material, no_columns_page=page.reason)
    store.reports.save(result.run.id, result.run.at, report.document, page.html)
