"""What a process that takes long to start says meanwhile: one line for each step, on standard error."""

import typer


def tell_step(step: str) -> None:
    """Tell the operator what is being done now."""
    typer.secho(f"{step} …", err=True, dim=True)
