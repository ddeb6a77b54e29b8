"""`tidegate check`: is this data like the training data?"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import Alpha, EmbeddingLayer, Export, Imports, Reference, Sha256, reference_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

STRANGEST = 5
UNREADABLE_NAMED = 20


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(
    export: Export,
    data: Annotated[Path, typer.Argument(help="New data: a folder of pictures or a CSV.", show_default=False)],
    reference: Reference = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the report here: .html, or .json.")
    ] = None,
    alpha: Alpha = None,
    minimum_rows: Annotated[int, typer.Option(help="Fewer inputs get no verdict.", min=2)] = 30,
    embedding_layer: EmbeddingLayer = None,
    sha256: Sha256 = None,
    import_: Imports = None,
) -> None:
    """Is this folder or CSV **like the training data**? Without a server. Exit code 0: yes, 1: shifted, 2: no verdict.

    Example: `tidegate check digits.pkl new_batch/ -o report.html`
    """
    from tidegate.operator_messages import tell_note, tell_start

    tell_start()
    from monitor.reference.profile import Reference as ReferenceProfile
    from serving.gateway.compatibility import check_compatible
    from serving.profiling.labelled_data import labelled_inputs
    from serving.profiling.offline_check import check_inputs
    from store.repositories.runs import Verdict
    from tidegate.cli.loading import load_engine
    from tidegate.progress import track
    from tidegate.settings import load_settings

    settings = load_settings(
        serving={"embedding_layer": embedding_layer}, monitor={"alpha": alpha, "minimum_rows": minimum_rows}
    )
    profile = ReferenceProfile.load(reference or reference_beside(export))
    engine = load_engine(export, sha256, import_, settings.serving, profile)
    check_compatible(engine, profile)
    inputs = labelled_inputs(data, engine.adapter, tell_note)
    checked = check_inputs(engine, profile, inputs, settings.monitor, track=track)
    run = checked.watched.run
    # Where there are too few inputs every check says the same, and the headline too.
    enough = run.verdict is not Verdict.NOT_ENOUGH_DATA
    headline = checked.report.document["headline"] if enough else run.sentence
    typer.secho(headline, bold=True, fg="red" if run.verdict is Verdict.SHIFTED else None)
    for result in run.results if enough else ():
        typer.echo(f"  {result.verdict.value:>15}  {result.sentence}")
    _print_unreadable(checked.refused)
    typer.echo("The strangest inputs:")
    for name, prediction, p_value in checked.strangest(STRANGEST):
        typer.echo(f"  {name}: predicted {_in_few_digits(prediction)}; {p_value:.2%} of held-out inputs are as strange")
    if output is not None:
        typer.echo(f"Report: {checked.report.save(output)}")
    sys.exit(1 if run.verdict is Verdict.SHIFTED else 0 if run.verdict.is_judged else 2)


def _in_few_digits(prediction: str) -> str:
    """A prediction as the record keeps it, a number with as many digits as people read."""
    from monitor.shift.readable_numbers import sensible

    try:
        return sensible(float(prediction))
    except ValueError:
        return prediction


def _print_unreadable(refused: "Sequence[tuple[str, str]]") -> None:
    if not refused:
        return
    typer.secho(f"{len(refused):,} input{'s' if len(refused) > 1 else ''} can't be read:", fg="yellow")
    for name, reason in refused[:UNREADABLE_NAMED]:
        typer.echo(f"  {name}: {reason}")
    if len(refused) > UNREADABLE_NAMED:
        typer.echo(f"  and {len(refused) - UNREADABLE_NAMED:,} more; a report written with -o report.json names all")
