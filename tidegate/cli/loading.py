"""Loading a learner for a verb: the operator is told that it is code, then it is loaded and made ready."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from serving.adapters import Limits
    from serving.engine import Engine


def load_engine(
    export: Path, sha256: str | None, imports: list[str] | None, limits: "Limits | None" = None
) -> "Engine":
    """The learner, ready to run."""
    from serving.learner import load, sha256_of

    digest = sha256_of(export)
    pinned = "as pinned" if sha256 else f"pin it with --sha256 {digest}"
    typer.secho(
        f"Loading {export}. An exported learner is code and runs when loaded: load only what you trust ({pinned}).",
        err=True,
        dim=True,
    )
    from serving.engine import Engine

    return Engine(load(export, expected_sha256=sha256, import_modules=tuple(imports or ())), limits)
