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

    return open_engine(
        export,
        settings or ServingSettings(),
        sha256=sha256,
        import_modules=tuple(imports or ()),
        announce=lambda digest: tell_it_is_code(export, digest, pinned=sha256 is not None),
    )


def tell_it_is_code(export: Path, sha256: str, *, pinned: bool) -> None:
    """Tell the operator, before a learner's code runs, that it will, and how to pin the file."""
    how = "as pinned" if pinned else f"pin it with --sha256 {sha256}"
    warning = "An exported learner is code and runs when loaded: load only what you trust"
    typer.secho(f"Loading {export}. {warning} ({how}).", err=True, dim=True)
