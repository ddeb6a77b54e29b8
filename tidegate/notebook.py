"""What notebooks and scripts call."""

from pathlib import Path
from typing import Any
from uuid import UUID

from monitor.reference.fit import DEFAULT_ALPHA
from monitor.reference.profile import Reference
from reports.drift import DriftReport
from store.errors import BadInput, NotFound
from store.store import Store
from tidegate.commands import command_on
from tidegate.open_store import open_store
from tidegate.progress import track


def profile(
    learner: Any,
    export: str | Path | None = None,
    *,
    embedding_layer: str | None = None,
    alpha: float = DEFAULT_ALPHA,
    seed: int = 0,
) -> Reference:
    """The reference of a learner that still has its data: `profile(learn).save("digits.reference")`.

    Scorers are fitted on its training set and calibrated on its validation set.

    Args:
        learner: a trained fastai learner.
        export: the file that `learn.export()` wrote, if it is not `learn.path/"export.pkl"`.
        embedding_layer: the layer whose input is the embedding, by the name `learn.model.named_modules()` gives it; by
            default the last layer with weights. Gateways take it from the reference.
        alpha: share of in-domain inputs that may be flagged.
        seed: of all randomness.

    Raises:
        TidegateError: the learner has no data, or can't be served; the message says what to do.
    """
    # fastai and torch come with it; showing a report needs neither.
    from serving.profiling.notebook import profile_learner

    path = None if export is None else Path(export)
    reference = profile_learner(learner, path, embedding_layer=embedding_layer, alpha=alpha, seed=seed, track=track)
    for warning in reference.warnings:
        print(f"note: {warning}")  # noqa: T201
    return reference


def report(run: str | None = None, *, database: str | None = None) -> DriftReport:
    """A drift report, which shows itself in a notebook.

    Args:
        run: a run's id; by default the latest with a report.
        database: SQLAlchemy URL; by default the settings'.

    Raises:
        TidegateError: there is no such report.
    """
    with open_store(database) as store:
        return DriftReport(store.reports.document(find_run(store, run)))


def find_run(store: Store, run: str | None) -> UUID:
    """The run with this id; by default the latest with a report.

    Raises:
        TidegateError: the name is no id, or there is no report yet.
    """
    if run is None:
        entries = store.reports.recent(limit=1)
        if not entries:
            look = command_on(store.database, "monitor", "--once")
            raise NotFound(f"There is no report yet. Serve some predictions, then look at them: {look}")
        return entries[0].run_id
    try:
        return UUID(run)
    except ValueError as error:
        raise BadInput(f"{run!r} is not a run's id. `tidegate report --list` shows them.") from error
