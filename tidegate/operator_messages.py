"""What a process says on standard error beside its result: what it does meanwhile, and notes on what it was given."""

import typer


def tell_step(step: str) -> None:
    """Tell the operator what is being done now."""
    typer.secho(f"{step} …", err=True, dim=True)


def tell_start() -> None:
    """Tell the operator why nothing comes at once; call before what takes long to import."""
    tell_step("Starting: importing fastai and torch, which takes a while the first time on a machine")


def tell_note(note: str) -> None:
    """Tell the operator what is worth knowing and stops nothing."""
    typer.secho(f"note: {note}", err=True, fg=typer.colors.YELLOW)
