"""`tidegate profile`: make the reference of a learner."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import EmbeddingLayer, Export, Imports, Sha256, reference_beside

if TYPE_CHECKING:
    from monitor.reference.profile import Reference as ReferenceProfile


def register(app: typer.Typer) -> None:
    app.command("profile")(profile)


def profile(
    export: Export,
    data: Annotated[
        Path,
        typer.Option(
            "--data", help="Training data: a folder of class folders, a CSV of rows, or a CSV of files and labels."
        ),
    ],
    valid: Annotated[
        Path | None,
        typer.Option(
            "--valid", help="Data the learner was not trained on, laid out alike. Without it a fifth is held out."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; by default beside the export.")
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Share of in-domain inputs that may be flagged.", min=1e-6, max=0.5)
    ] = 0.01,
    seed: Annotated[int, typer.Option(help="Of all randomness: the same data and seed give the same reference.")] = 0,
    embedding_layer: EmbeddingLayer = None,
    sha256: Sha256 = None,
    import_: Imports = None,
) -> None:
    """Make the **reference**: what training looks like, for scoring inputs and noticing shifts.

    Example: `tidegate profile digits.pkl --data train/ --valid valid/`
    """
    from tidegate.operator_messages import tell_note, tell_start

    tell_start()
    import numpy as np

    from serving.profiling.labelled_data import labelled_inputs
    from serving.profiling.profiler import make_reference
    from tidegate.cli.loading import load_engine
    from tidegate.progress import track
    from tidegate.settings import load_settings

    settings = load_settings(serving={"embedding_layer": embedding_layer}).serving
    engine = load_engine(export, sha256, import_, settings)
    training = labelled_inputs(data, engine.adapter, tell_note)
    held_out = None if valid is None else labelled_inputs(valid, engine.adapter, tell_note)
    reference = make_reference(engine, training, held_out, rng=np.random.default_rng(seed), alpha=alpha, track=track)
    path = reference.save(output or reference_beside(export))
    _tell_environment(export, reference)
    _print_summary(reference)
    typer.echo(f"Written to {path} ({path.stat().st_size / 1e6:.1f} MB). Next: tidegate serve {export}")


def _tell_environment(export: Path, reference: "ReferenceProfile") -> None:
    """Beside the export, for whoever loads it elsewhere."""
    from serving.learner.export.environment import ExportEnvironment, write_environment

    origin = reference.origin
    assert origin is not None
    assert origin.learner_sha256 is not None
    write_environment(export, ExportEnvironment(origin.learner_sha256, origin.made_with, origin.loaded_with))


def _print_summary(reference: "ReferenceProfile") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in reference.summary():
        table.add_row(f"[dim]{name}[/dim]", value)
    console = Console()
    console.print(table)
    for warning in reference.warnings:
        console.print(f"[yellow]note:[/yellow] {warning}", highlight=False)
