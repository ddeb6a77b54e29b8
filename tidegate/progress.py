"""Progress bars with the time left, in a terminal and in a notebook."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

One = TypeVar("One")


def track(steps: Iterable[Sequence[One]], number: int, what: str) -> Iterator[Sequence[One]]:
    """Give the steps back, drawing how many are done and how long the rest will take."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=False) as progress:
        task = progress.add_task(what, total=number)
        for step in steps:
            yield step
            progress.advance(task)
