"""Progress with the time left: a bar in a terminal, a line in a notebook."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")

_SECONDS_BETWEEN_UPDATES = 0.5


def track(steps: Iterable[Sequence[Item]], total: int, description: str) -> Iterator[Sequence[Item]]:
    """Yield the steps, and draw how many are done and how long the rest will take."""
    if _is_notebook():
        yield from _track_in_notebook(steps, total, description)
        return
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


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


def _track_in_notebook(steps: Iterable[Sequence[Item]], total: int, description: str) -> Iterator[Sequence[Item]]:
    """One line that is written anew: rich draws nothing in a notebook without ipywidgets, and complains."""
    from IPython.display import display

    def line(done: int) -> dict[str, str]:
        seconds = time.monotonic() - began
        left = f", about {seconds / done * (total - done):.0f} s left" if 0 < done < total else ""
        return {"text/plain": f"{description}: {done} of {total} batches in {seconds:.0f} s{left}"}

    began = updated = time.monotonic()
    handle = display(line(0), raw=True, display_id=True)
    for done, step in enumerate(steps, 1):
        yield step
        if done == total or time.monotonic() - updated > _SECONDS_BETWEEN_UPDATES:
            updated = time.monotonic()
            handle.update(line(done), raw=True)
