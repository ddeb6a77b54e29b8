"""Progress bars with the time left, in a terminal and in a notebook."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")


def track(steps: Iterable[Sequence[Item]], total: int, description: str) -> Iterator[Sequence[Item]]:
    """Yield the steps, and draw how many are done and how long the rest will take."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=False) as progress:
        task = progress.add_task(description, total=total)
        for step in steps:
            yield step
            progress.advance(task)
