"""`tidegate tune`: find the fastest way to run a learner on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import Device, EmbeddingLayer, Export, Imports, Reference, Sha256, reference_beside

if TYPE_CHECKING:
    from serving.engine.tuning import Tuning

_MAXIMUM_INPUTS = 1_000


def register(app: typer.Typer) -> None:
    app.command("tune")(tune)


def tune(
    export: Export,
    reference: Reference = None,
    bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Also try bfloat16, which changes numbers. Needs --data, to say how it agrees."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Held-out data, laid out as for `profile`: measure how the choice agrees on it."),
    ] = None,
    device: Device = None,
    embedding_layer: EmbeddingLayer = None,
    sha256: Sha256 = None,
    import_: Imports = None,
) -> None:
    """**Tune**: measure every backend and number of threads, `torch.compile` too, and keep the fastest for `serve`.

    Example: `tidegate tune digits.pkl`
    """
    from tidegate.operator_messages import tell_start

    tell_start()
    from monitor.reference.profile import Reference as ReferenceProfile
    from serving.engine.tuning import agreement, tuning_beside
    from serving.engine.tuning import tune as measure
    from serving.gateway.compatibility import check_same_learner
    from serving.profiling.labelled_data import labelled_inputs
    from store.errors import BadSettings
    from store.recording.prediction_batch import RawInput
    from tidegate.cli.loading import load_engine
    from tidegate.settings import load_settings

    if bf16 and data is None:
        raise BadSettings(
            "bfloat16 changes numbers, so it is tried only where its agreement can be measured: name held-out data "
            "with --data valid/."
        )
    settings = load_settings(serving={"device": device, "embedding_layer": embedding_layer}).serving
    profile = reference or reference_beside(export)
    loaded = ReferenceProfile.load(profile) if profile.is_file() else None
    engine = load_engine(export, sha256, import_, settings, loaded)
    inputs = []
    if loaded is not None:
        check_same_learner(engine, loaded)
        inputs = [RawInput(sample.media_type, sample.content) for sample in loaded.parity_samples]
    typer.echo("Measuring. Keep the machine otherwise idle; torch.compile alone takes a minute.")
    tuning = measure(engine, inputs, thorough=True, approximate=bf16, seconds_each=1.0)
    _print_trials(tuning)
    if data is not None:
        held_out = [labelled.read() for labelled in labelled_inputs(data, engine.adapter)[:_MAXIMUM_INPUTS]]
        typer.echo(agreement(engine, tuning.chosen, held_out).sentence)
    file = tuning_beside(export)
    tuning.save(file)
    typer.echo(f"Kept in {file}, for this learner, this machine and these versions: `tidegate serve` uses it.")


def _print_trials(tuning: "Tuning") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("backend", "threads", "ms alone", "ms in a batch", ""):
        table.add_column(name, justify="left" if name in ("backend", "") else "right")
    for rank, trial in enumerate(tuning.trials):
        times = ["", ""] if trial.refused else [f"{trial.alone_ms:.3g}", f"{trial.batched_ms:.3g}"]
        note = (
            f"[dim]not used: {trial.refused}[/dim]" if trial.refused else "[green]chosen[/green]" if rank == 0 else ""
        )
        table.add_row(trial.backend, str(trial.threads), *times, note)
    Console().print(table)
