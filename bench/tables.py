"""Prints a table and writes it to `bench/results/`, with the machine it was measured on."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def publish(
    name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "", command: str = ""
) -> None:
    """Print a table and keep it as Markdown, with the command that made it."""
    command = command or f"python -m bench.detection {name.split('-')[0]}"
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(len(str(line[column])) for line in [columns, *cells]) for column in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        padded = [
            value.ljust(width) if column == 0 else value.rjust(width)
            for column, (value, width) in enumerate(zip(values, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    # The first column is aligned to the left, numbers to the right.
    rules = ["-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)]
    rule = f"|{'|'.join(rules)}|"
    table = "\n".join([line(list(columns)), rule, *(line(row) for row in cells)])
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    text = f"# {title}\n\n{table}\n\n{note}\n\nMeasured on {machine} by `{command}`.\n"
    print(text, flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:,.2f}"
    return str(value)
