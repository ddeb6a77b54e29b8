"""`tidegate baseline`: accept a healthy window of production, and watch change from it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import Database

if TYPE_CHECKING:
    from store.repositories.models import ModelRecord
    from store.store import Store

app = typer.Typer(
    help="**Accept** a healthy window of production: from then on alerts are about change from it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Model = Annotated[str | None, typer.Option("--model", help="Name or hash; needed where several models are served.")]
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@app.command()
def pin(
    name: Annotated[
        str, typer.Argument(help="What to call it; the same name again makes its next version.")
    ] = "healthy",
    model: Model = None,
    last: Annotated[int | None, typer.Option(help="The last N predictions; by default those of the last week.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=FORMATS, help="Begin, in UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=FORMATS, help="End, in UTC; by default now.")] = None,
    database: Database = None,
) -> None:
    """Pin a window as the **baseline**: it is replayed first, and refused if it would not keep its promise.

    Example: `tidegate baseline pin october --since 2026-10-01 --until 2026-11-01`
    """
    from datetime import UTC

    from monitor.baselines.baseline import BaselineWindow, certificate_of, pin_baseline
    from monitor.seed import generator
    from store.clock import EPOCH
    from store.errors import BadInput
    from tidegate.open_store import open_store
    from tidegate.settings import load_settings

    settings = load_settings(store={"database": database})
    with open_store(database) as store:
        record = _find_model(store, model)
        end = store.database.utc_now() if until is None else until.replace(tzinfo=UTC)
        begin = end - timedelta(days=7) if since is None else since.replace(tzinfo=UTC)
        if last is not None:
            begin = store.predictions.start_of_last(record.sha256, last, end) or EPOCH
        if begin >= end:
            raise BadInput(f"The window ends at {end:%Y-%m-%d %H:%M} UTC, before it begins.", field="until")
        seed = f"{record.sha256}/{begin.isoformat()}/{end.isoformat()}"
        pinned = pin_baseline(store, record, BaselineWindow(name, begin, end), settings.monitor, generator(seed))
        certificate = certificate_of(pinned)
        typer.secho(f"{record.name} is now compared with {pinned.label}: {pinned.count:,} predictions.", bold=True)
        difference = pinned.certificate["gap"]
        typer.echo(f"From training it differs so: {difference['sentence']}")
        accuracy = difference["accuracy"]
        if accuracy is not None:
            typer.echo(f"  estimated accuracy {accuracy['value']:.1%}, {accuracy['held_out']:.1%} in training")
        typer.echo(f"Certificate: {certificate.sentence}")
        for line in certificate.power(store.counters.per_day(record.sha256, end)):
            typer.echo(f"  {line}")


@app.command("list")
def list_(model: Model = None, database: Database = None) -> None:
    """List the **baselines** of a model, the latest first.

    Example: `tidegate baseline list`
    """
    from tidegate.open_store import open_store

    with open_store(database) as store:
        baselines = store.baselines.of_model(_find_model(store, model).sha256)
        if not baselines:
            typer.echo("No baseline is pinned: production is compared with held-out training data.")
        for baseline in baselines:
            mark = typer.style("active", fg="green") if baseline.active else "      "
            window = f"{baseline.since:%Y-%m-%d %H:%M} to {baseline.until:%Y-%m-%d %H:%M} UTC"
            typer.echo(f"{mark}  {baseline.label}: {baseline.count:,} predictions, {window}")


@app.command()
def use(
    label: Annotated[str, typer.Argument(help="`NAME`, `NAME v2`, or `training`.", show_default=False)],
    model: Model = None,
    database: Database = None,
) -> None:
    """Compare with another baseline that was pinned before, or with **training** again. Alarms start anew.

    Example: `tidegate baseline use training`
    """
    from tidegate.open_store import open_store

    with open_store(database) as store:
        record = _find_model(store, model)
        chosen = None if label == "training" else store.baselines.find(record.sha256, label)
        with store.writing() as transaction:
            if chosen is None:
                store.baselines.deactivate(transaction, record.sha256)
            else:
                store.baselines.activate(transaction, chosen.id, record.sha256)
            store.alarms.forget(transaction, record.sha256)
        typer.echo(
            f"{record.name} is now compared with {'held-out training data' if chosen is None else chosen.label}."
        )


@app.command()
def compare(
    one: Annotated[str, typer.Argument(help="`NAME` or `NAME v2`.", show_default=False)],
    other: Annotated[str, typer.Argument(help="`NAME` or `NAME v2`.", show_default=False)],
    model: Model = None,
    database: Database = None,
) -> None:
    """Say how two baselines **differ**.

    Example: `tidegate baseline compare "october v1" "november v1"`
    """
    from monitor.baselines.baseline import compare_baselines
    from monitor.seed import generator
    from tidegate.open_store import open_store

    with open_store(database) as store:
        record = _find_model(store, model)
        first, second = (store.baselines.find(record.sha256, label) for label in (one, other))
        typer.echo(compare_baselines(store, record, first, second, generator(f"{first.sha256}/{second.sha256}")))


def _find_model(store: "Store", model: str | None) -> "ModelRecord":
    from store.errors import NotFound

    matches = store.models.matching(model)
    if not matches:
        raise NotFound("No such model was ever served from this database.")
    if model is None and len(matches) > 1:
        names = ", ".join(match.name for match in matches)
        raise NotFound(f"Several models are served: name one with --model ({names}).")
    return matches[0]
