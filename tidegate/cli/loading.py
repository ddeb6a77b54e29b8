"""Loading a learner for a verb: the operator is told that it is code, then it is loaded and made ready."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from serving.engine import Engine
    from serving.settings import ServingSettings


def load_engine(
    export: Path, sha256: str | None, imports: list[str] | None, *, settings: "ServingSettings | None" = None
) -> "Engine":
    """The learner, ready to run."""
    from serving.engine import open_engine
    from serving.settings import ServingSettings

    def announce(digest: str) -> None:
        pinned = "as pinned" if sha256 else f"pin it with --sha256 {digest}"
        warning = "An exported learner is code and runs when loaded: load only what you trust"
        typer.secho(f"Loading {export}. {warning} ({pinned}).", err=True, dim=True)

    return open_engine(
        export, settings or ServingSettings(), sha256=sha256, import_modules=tuple(imports or ()), announce=announce
    )
