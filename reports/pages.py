"""The gateway's pages, drawn from the record."""

from collections.abc import Sequence
from typing import Any

from monitor.reference import Reference
from reports.render import page
from store import Store
from store.alerts import AlertState
from store.deliveries import DeliveryState
from store.models import ModelRecord

RUNS = 100
LATEST = 5
CLASSES_SHOWN = 10


def index(store: Store, model: ModelRecord, reference: Reference | None, curl: str) -> str:
    """The overview of a served model."""
    runs = store.runs.recent(model.sha256, limit=LATEST)
    return page(
        "index.html",
        model=model,
        reference=reference,
        predictions=store.predictions.count(model.sha256),
        firing=store.alerts.all(AlertState.FIRING),
        runs=runs,
        reported={entry.run_id for entry in store.reports.recent(limit=RUNS)},
        curl=curl,
    )


def reports(store: Store) -> str:
    """The list of windows and their reports."""
    return page(
        "reports.html",
        here="/reports",
        runs=store.runs.recent(limit=RUNS),
        reported={entry.run_id for entry in store.reports.recent(limit=RUNS)},
    )


def alerts(store: Store, destinations: Sequence[str]) -> str:
    """The alerts and what became of them."""
    counts = store.deliveries.counts()
    return page(
        "alerts.html",
        here="/alerts",
        alerts=store.alerts.all(),
        names={model.sha256: model.name for model in store.models.all()},
        events=store.alerts.events(limit=50),
        pending=counts[DeliveryState.PENDING],
        dead=counts[DeliveryState.DEAD],
        destinations=destinations,
    )


def try_it(
    model: ModelRecord,
    *,
    curl: str,
    fields: dict[str, Any] | None,
    answer: Any = None,
    probabilities: Sequence[float] | None = None,
    picture: str | None = None,
    problem: dict[str, Any] | None = None,
) -> str:
    """The page to try the model on.

    Args:
        model: the served model.
        curl: the same call from the command line.
        fields: the columns of a table with the values to begin with; None for pictures.
        answer: what the gateway answered, if something was sent.
        probabilities: one for each class.
        picture: the picture that was sent, as a `data:` address.
        problem: why what was sent can't be used.
    """
    shares = sorted(zip(model.classes, probabilities or [], strict=False), key=lambda pair: -pair[1])
    return page(
        "try.html",
        here="/try",
        model=model,
        curl=curl,
        fields=fields,
        row=fields or {},
        answer=answer,
        shares=shares[:CLASSES_SHOWN],
        picture=picture,
        problem=problem,
    )


def api() -> str:
    """The API's page."""
    return page("api.html", here="/docs")


def missing(title: str, detail: str) -> str:
    """A page that is not there."""
    return page("missing.html", title=title, detail=detail)
