"""The warning that an exported learner is code, given before that code runs."""

from pathlib import Path

import typer


def warn_that_export_is_code(export: Path, sha256: str, *, pinned: bool) -> None:
    """Tell the operator, before a learner's code runs, that it will, and how to pin the file."""
    how = "as pinned" if pinned else f"pin it with --sha256 {sha256}"
    warning = "An exported learner is code and runs when loaded: load only what you trust"
    typer.secho(f"Loading {export}. {warning} ({how}).", err=True, dim=True)
