"""The first step of a pass: everything that a look at one model needs is read from the database, as values."""

from datetime import datetime, timedelta
from typing import Any

from monitor.alarm.state_update import AlarmInputs, find_stream_start, select_states
from monitor.baselines.baseline import Comparison, load_comparison
from monitor.history.report_material import column_rows
from monitor.passes.monitor_pass import LateWindow, Look, MonitorPass
from monitor.passes.pass_context import PassContext
from monitor.seed import generator
from monitor.shift.table_columns import records_of
from store.clock import EPOCH
from store.errors import BadReference, NotFound
from store.repositories.models import ModelRecord
from store.repositories.predictions import RecordedWindow
from store.store import Store


def read_window(context: PassContext, model: ModelRecord, until: datetime) -> MonitorPass:
    """The window of a model that ends at `until`, and all that its verdict, alarms and alerts follow from."""
    store, settings = context.store, context.settings
    # Before the window: what another monitor judges while this is read is noticed when the decision is committed.
    last_judged_until = store.runs.last_judged_until(model.sha256)
    since = last_judged_until or EPOCH
    if settings.last is not None:
        since = store.predictions.start_of_last(model.sha256, settings.last, until) or EPOCH
    seed = f"{model.sha256}/{since.isoformat()}/{until.isoformat()}"
    recorded = store.predictions.window(model.sha256, since, until, max_rows=settings.maximum_rows, rng=generator(seed))
    comparison, reference_error = _read_comparison(store, model)
    return MonitorPass(
        look=Look(
            model=model,
            recorded=recorded,
            comparison=comparison,
            at=store.database.utc_now(),
            since=_since_for_people(recorded),
            seed=seed,
            records=_read_records(store, comparison, recorded),
        ),
        settings=settings,
        alert_alpha=context.budget.alpha,
        reference_error=reference_error,
        alarms=None if comparison is None else _read_alarms(context, model, comparison, recorded),
        known_groups=tuple(store.groups.of_model(model.sha256)),
        alerts=store.alerts.of_model(model.sha256),
        last_run=next(iter(store.runs.recent(model.sha256, limit=1)), None),
        judged_until=last_judged_until,
    )


def read_late_window(context: PassContext, model: ModelRecord, late: LateWindow) -> MonitorPass:
    """A window that was judged before, as the record holds it now."""
    store, settings, since = context.store, context.settings, late.run.since
    seed = f"{late.run.seed}/again"
    recorded = store.predictions.window(
        model.sha256, since, late.run.until, max_rows=settings.maximum_rows, rng=generator(seed)
    )
    comparison, reference_error = _read_comparison(store, model)
    return MonitorPass(
        look=Look(
            model=model,
            recorded=recorded,
            comparison=comparison,
            at=store.database.utc_now(),
            since=since,
            seed=seed,
            records=_read_records(store, comparison, recorded),
        ),
        settings=settings,
        alert_alpha=context.budget.alpha,
        reference_error=reference_error,
        alerts=store.alerts.of_model(model.sha256),
        late=late,
    )


def _read_comparison(store: Store, model: ModelRecord) -> tuple[Comparison | None, str | None]:
    """What the model's windows are compared with, or why that can't be read; neither where the model has no reference."""
    if model.reference_sha256 is None:
        return None, None
    try:
        return load_comparison(store, model), None
    except (BadReference, NotFound) as error:
        return None, str(error)


def _read_records(store: Store, comparison: Comparison | None, recorded: RecordedWindow) -> list[dict[str, Any]]:
    """Inputs of the window as columns; none where the reference keeps no columns to compare them with."""
    if comparison is None or not comparison.reference.columns:
        return []
    raw_inputs = store.predictions.raw_inputs(recorded.ids[column_rows(recorded)])
    return records_of(raw_inputs.values())


def _read_alarms(
    context: PassContext, model: ModelRecord, comparison: Comparison, recorded: RecordedWindow
) -> AlarmInputs:
    store, until = context.store, recorded.until
    baseline = comparison.baseline
    ranked_among = (model.reference_sha256 or "") if baseline is None else baseline.sha256
    states = select_states(store.alarms.of_model(model.sha256), ranked_among)
    return AlarmInputs(
        model_sha256=model.sha256,
        ranked_among=ranked_among,
        states=states,
        arrived=store.predictions.stream(model.sha256, find_stream_start(states, recorded.since), until),
        until=until,
        promise=context.budget.promise(store.counters.per_day(model.sha256, until)),
    )


def _since_for_people(recorded: RecordedWindow) -> datetime:
    """Where the window begins for people: at its first prediction if nothing was judged before."""
    if recorded.since > EPOCH:
        return recorded.since
    # The first prediction is in the window, and windows begin after their instant.
    return recorded.at[0] - timedelta(microseconds=1) if recorded.at else recorded.until
