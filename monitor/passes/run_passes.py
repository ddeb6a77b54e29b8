"""One look of the monitor at every model: each window is read, decided and committed, late ones first."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.alarm.budget import installation_budget
from monitor.passes.commit import commit
from monitor.passes.decide import decide
from monitor.passes.late_arrivals import judge_late_arrivals
from monitor.passes.monitor_pass import PassResult
from monitor.passes.pass_context import PassContext
from monitor.passes.read import read_window
from monitor.settings import MonitorSettings
from store.errors import LeaseLost, TidegateError
from store.repositories.jobs import Fence, no_fence
from store.repositories.models import ModelRecord
from store.store import Store

logger = logging.getLogger(__name__)

# A prediction gets its time just before its commit; by then every one with a time in the window is in the record.
SETTLE = timedelta(seconds=1)


@dataclass(frozen=True)
class WindowClock:
    """When windows end: at `now`, by default the database's; `settle` waits until what was predicted by then is recorded."""

    now: Callable[[], datetime] | None = None
    settle: Callable[[float], None] = time.sleep


def run_passes(
    store: Store, settings: MonitorSettings, clock: WindowClock | None = None, fence: Fence = no_fence
) -> list[PassResult]:
    """Look at every model once. A model that can't be looked at does not stop the others.

    Args:
        store: the record.
        settings: what to look at.
        clock: when windows end; by default the database's clock says it.
        fence: called first in every transaction that writes; raises where another monitor has taken over.

    Raises:
        LeaseLost: another monitor has taken over.
    """
    clock = clock or WindowClock()
    until = clock.now() if clock.now is not None else store.jobs.now()
    clock.settle(SETTLE.total_seconds())
    models = store.models.all()
    context = PassContext(store, settings, installation_budget(models, settings), fence)
    results = []
    for model in models:
        try:
            results += judge_late_arrivals(context, model)
            result = run_pass(context, model, until)
        except LeaseLost:
            raise
        except TidegateError:
            logger.exception("%s could not be looked at; the next pass tries again", model.name)
            continue
        if result is not None:
            results.append(result)
    return results


def run_pass(context: PassContext, model: ModelRecord, until: datetime) -> PassResult | None:
    """Judge the window of one model that ends at `until`; None if another monitor has just judged it.

    Raises:
        LeaseLost: another monitor has taken over.
    """
    monitor_pass = read_window(context, model, until)
    return commit(context, monitor_pass, decide(monitor_pass))


def deserves_report(result: PassResult) -> bool:
    """Whether a report of this pass says anything: it was judged."""
    return result.reference is not None and result.run.verdict.is_judged
