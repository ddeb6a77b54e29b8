"""Writes the table of learners in the documentation: `python -m tests.learners.table`."""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from tests.learners.case import Refused, Served
from tests.learners.measure import REFUSED, SERVED, Exactness, measure, refusal

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "learners.md"
_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"


def served_row(kind: Served) -> str:
    """A line of the table, up to what is measured."""
    return f"| {kind.name} | {_without_bars(kind.blocks)} | {kind.embedding} |"


def refused_row(kind: Refused) -> str:
    """A line of the table of what is refused, up to what is said."""
    return f"| {kind.name} | {_without_bars(kind.blocks)} | {_without_bars(kind.because)}"


def table(measured: Mapping[str, Exactness], said: Mapping[str, str]) -> str:
    """Both tables.

    Args:
        measured: exactness by the name of a kind that is served.
        said: the whole refusal by the name of a kind that is refused.
    """
    lines = [
        "| input → target | blocks | the embedding is the input of | largest difference | |",
        "|---|---|---|---|---|",
    ]
    for kind in SERVED:
        difference = measured[kind.name].largest_difference
        lines.append(f"{served_row(kind)} {f'{difference:.0e}' if difference else '0'} | {_without_bars(kind.note)} |")
    lines += ["", "Refused:", "", "| input → target | blocks | what is said |", "|---|---|---|"]
    for refused in REFUSED:
        lines.append(f"| {refused.name} | {_without_bars(refused.blocks)} | {_without_bars(said[refused.name])} |")
    return "\n".join(lines)


def write() -> None:
    """Measure every kind, and put the table into the document."""
    with tempfile.TemporaryDirectory() as folder:
        measured = {kind.name: measure(kind, Path(folder)) for kind in SERVED}
        said = {kind.name: refusal(kind, Path(folder)) for kind in REFUSED}
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    DOCUMENT.write_text(f"{before}{_BEGIN}\n\n{table(measured, said)}\n\n{_END}{after}")


def _without_bars(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write()
