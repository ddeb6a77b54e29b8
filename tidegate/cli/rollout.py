"""`tidegate rollout`: from a parallel trial, to a limited scope, to everyone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import Database, Export, reference_beside

if TYPE_CHECKING:
    from serving.rollout.traffic_plan import Plan, Version

app = typer.Typer(
    help="**Roll out** a new version beside the one that serves: shadow, canary, promote. No request is dropped.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

New = Annotated[Path, typer.Argument(help="The new version: a file that `learn.export()` wrote.", show_default=False)]
NewReference = Annotated[
    Path | None, typer.Option("--reference", "-r", help="Its reference; by default the .reference file beside it.")
]


@app.command()
def shadow(export: Export, new: New, reference: NewReference = None) -> None:
    """Let a new version see the same traffic: its answers are recorded and compared, never returned.

    Example: `tidegate rollout shadow digits.pkl digits-2.pkl`
    """
    _write(export, _plan(export).with_shadow(_version(new, reference)))


@app.command()
def canary(
    export: Export,
    new: New,
    share: Annotated[float, typer.Option(help="Its part of the traffic, between 0 and 1.")] = 0.1,
    reference: NewReference = None,
) -> None:
    """Let a new version answer a share of the traffic; requests with the same `tidegate-key` stay with one version.

    Example: `tidegate rollout canary digits.pkl digits-2.pkl --share 0.1`
    """
    _write(export, _plan(export).with_canary(_version(new, reference), share))


@app.command()
def promote(export: Export) -> None:
    """Give everyone the canary, or the shadow where there is no canary.

    Example: `tidegate rollout promote digits.pkl`
    """
    _write(export, _plan(export).promoted())


@app.command()
def stop(export: Export) -> None:
    """End the trial: the live version alone.

    Example: `tidegate rollout stop digits.pkl`
    """
    _write(export, _plan(export).stopped())


@app.command()
def reload(export: Export, reference: NewReference = None) -> None:
    """Serve the export as it lies there now, after it was written anew.

    Example: `tidegate rollout reload digits.pkl`
    """
    from serving.rollout.traffic_plan import Plan

    _write(export, Plan(_version(export, reference)))


@app.command()
def show(export: Export, database: Database = None) -> None:
    """Say which version has which role, and how they compare.

    Example: `tidegate rollout show digits.pkl`
    """
    from monitor.overview.versions import Traffic, summarize_version
    from serving.rollout.traffic_plan import Role
    from store.errors import NotFound
    from tidegate.open_store import open_store

    plan = _plan(export)
    _say(plan)
    with open_store(database) as store:
        for role, version in plan.versions().items():
            try:
                model = store.models.get(version.sha256 or "")
            except NotFound:
                typer.echo(f"{role.value:>7}  not served from {store.database.label} yet")
                continue
            summary = summarize_version(store, model, Traffic(role.value, mirrored=role is Role.SHADOW))
            flagged = "" if summary.flagged_share is None else f", {summary.flagged_share:.1%} flagged"
            verdict = f", latest verdict {summary.verdict}" if summary.verdict else ""
            typer.echo(f"{role.value:>7}  {summary.predictions:,} predictions{flagged}{verdict}")
            if summary.agreement is not None and summary.agreement.same is not None:
                typer.echo(
                    f"         the same as live for {summary.agreement.same:.1%} of the last {summary.agreement.count:,}"
                )
            elif summary.agreement is not None and summary.agreement.difference is not None:
                typer.echo(f"         {summary.agreement.difference:.3g} from live on average")


def _plan(export: Path) -> "Plan":
    from serving.rollout.traffic_plan import Plan, plan_beside

    return Plan.load(plan_beside(export)) or Plan(_version(export, None))


def _version(export: Path, reference: Path | None) -> "Version":
    from serving.learner.loading import sha256_of
    from serving.rollout.traffic_plan import Version
    from store.errors import BadReference

    beside = reference or reference_beside(export)
    if reference is not None and not reference.is_file():
        raise BadReference(f"The reference {reference} is not there.")
    if not beside.is_file():
        typer.secho(f"note: there is no {beside}, so nothing that {export} answers is scored.", err=True, fg="yellow")
    return Version(export.resolve(), sha256_of(export), beside.resolve() if beside.is_file() else None)


def _write(export: Path, plan: "Plan") -> None:
    from serving.rollout.traffic_plan import plan_beside

    plan.save(plan_beside(export))
    _say(plan)
    typer.echo(
        f"Kept in {plan_beside(export)}. Gateways that serve {export} follow within seconds, and say so in their log."
    )


def _say(plan: "Plan") -> None:
    for role, version in plan.versions().items():
        share = f", {plan.share:.3g} of the traffic" if role.value == "canary" else ""
        typer.echo(f"{role.value:>7}  {version.export} ({(version.sha256 or '')[:12]}){share}")
