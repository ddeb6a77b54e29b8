"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Export = Annotated[Path, typer.Argument(help="The file that `learn.export()` wrote.", show_default=False)]
Reference = Annotated[
    Path | None,
    typer.Option("--reference", "-r", help="The reference; by default the .reference file beside the export."),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database", help="SQLAlchemy URL; by default sqlite:///tidegate.db in this folder.", show_default=False
    ),
]
Sha256 = Annotated[
    str | None, typer.Option("--sha256", help="Refuse the export, before loading it, if its SHA-256 is another.")
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        help="A module, or its file, that defines functions the learner needs; may be given several times. One beside the export is found by itself.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help='Where the model runs: "cpu", "cuda"; by default the GPU where there is one.'),
]
EmbeddingLayer = Annotated[
    str | None,
    typer.Option(
        "--embedding-layer",
        help="The layer whose input is the embedding; by default the reference's, or the last layer with weights.",
    ),
]
Alpha = Annotated[float | None, typer.Option(help="Share of shift-free windows in which a shift may be cried.")]
AlertTo = Annotated[
    list[str] | None,
    typer.Option("--alert-to", help='Where alerts go: "log" or a webhook\'s address; may be given several times.'),
]


def reference_beside(export: Path) -> Path:
    """The file where a reference is written, and looked for, by default."""
    return export.with_suffix(".reference")
