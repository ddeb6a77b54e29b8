"""The gateway's pages, drawn from values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.overview.alerts import AlertsOverview
from monitor.overview.model import ModelOverview
from monitor.overview.runs import RunList
from monitor.overview.versions import ModelList, ServedModel
from reports.masks import mask_colour
from reports.render import page
from store.repositories.models import ModelRecord

CLASSES_SHOWN = 10


@dataclass(frozen=True)
class TryForm:
    """The form to try a model on: the name it is served under, all names there are, the same call from the command line,
    and the columns of a table with the values to begin with; None for pictures."""

    name: str
    names: Sequence[str]
    curl: str
    fields: dict[str, Any] | None


@dataclass(frozen=True)
class TryOutcome:
    """What became of the input that was sent.

    `answer` is the gateway's, `probabilities` are one for each class, `picture` is the picture that was sent as a `data:`
    address, and `problem` says why the input can't be used.
    """

    answer: Any = None
    probabilities: Sequence[float] | None = None
    picture: str | None = None
    problem: dict[str, Any] | None = None


def models(model_list: ModelList, origin: str) -> str:
    """The list of models, each with its versions and with what is wrong, if anything is.

    Args:
        model_list: what it shows.
        origin: where the gateway is reached.
    """
    return page("models.html", here="/", models=model_list, origin=origin)


def model(overview: ModelOverview, served: ServedModel, curl: str, other_models: int = 0) -> str:
    """The overview of a model.

    Args:
        overview: what the record holds of its live version.
        served: how it is served; its versions are shown if there are any.
        curl: a prediction from the command line.
        other_models: how many more models the record holds.
    """
    return page("index.html", here="/", overview=overview, served=served, curl=curl, other_models=other_models)


def reports(runs: RunList, origin: str) -> str:
    """The list of windows and their reports; `origin` is where the gateway is reached."""
    return page("reports.html", here="/reports", runs=runs, origin=origin)


def alerts(overview: AlertsOverview, destinations: Sequence[str], origin: str) -> str:
    """The alerts and what became of their messages.

    Args:
        overview: what it shows.
        destinations: where messages go.
        origin: where the gateway is reached.
    """
    return page("alerts.html", here="/alerts", overview=overview, destinations=destinations, origin=origin)


def try_it(model: ModelRecord, form: TryForm, outcome: TryOutcome | None = None) -> str:
    """The page to try a model on.

    Args:
        model: its live version.
        form: what can be sent.
        outcome: what became of what was sent, if something was.
    """
    outcome = outcome or TryOutcome()
    colours = [mask_colour(index) if model.task == "segmentation" else None for index in range(len(model.classes))]
    shares = sorted(zip(model.classes, outcome.probabilities or [], colours, strict=False), key=lambda share: -share[1])
    return page(
        "try.html",
        here="/try",
        form=form,
        row=form.fields or {},
        outcome=outcome,
        answer=outcome.answer,
        shares=shares[:CLASSES_SHOWN],
    )


def api() -> str:
    """The page of the API."""
    return page("api.html", here="/docs")


def missing(title: str, detail: str) -> str:
    """The page of an address where there is nothing."""
    return page("missing.html", title=title, detail=detail)
