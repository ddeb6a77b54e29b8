"""How the rooms are wired to each other: one look of the monitor, from windows to reports and messages."""

import logging

from monitor.alerts.delivery import deliver_due
from monitor.history.reconcile import reconcile_history
from monitor.history.report_material import read_report_material
from monitor.passes.monitor_pass import PassResult, deserves_report, watch
from monitor.settings import MonitorSettings
from reports.columns import columns_page
from reports.drift import drift_report
from store.errors import LeaseLost, TidegateError
from store.repositories.jobs import Lease, no_fence
from store.store import Store

logger = logging.getLogger(__name__)


def look(store: Store, settings: MonitorSettings, lease: Lease | None = None) -> list[PassResult]:
    """Look at every model once, write the reports, and tell the destinations. What is old is forgotten.

    Raises:
        LeaseLost: another monitor has taken over.
    """
    fence = no_fence if lease is None else lease.fence
    watched = watch(store, settings, fence=fence)
    for one in watched:
        if deserves_report(one):
            write_report(store, one, columns=settings.columns_report)
    deliver_due(store, settings)
    now = store.jobs.now()
    for model in store.models.all():
        try:
            reconcile_history(store, model, now, fence)
        except LeaseLost:
            raise
        except TidegateError:
            logger.exception("the history of %s could not be mended; the next look tries again", model.name)
    store.run_housekeeping(now)
    return watched


def write_report(store: Store, watched: PassResult, *, columns: bool) -> None:
    """Write the report of one pass, and Evidently's page on its columns beside it."""
    material = read_report_material(watched, store.predictions, with_columns=columns)
    report = drift_report(watched, material)
    page = None
    if columns:
        try:
            page = columns_page(watched, material)
        except Exception:
            # Another library's page: our own report goes out without it.
            logger.exception("Evidently's page of run %s failed", watched.run.id)
    store.reports.save(watched.run.id, watched.run.at, report.document, page)
