"""`tidegate` without its commits: the difference from `tidegate` is the cost of recording."""

from store.recording.durable_writer import DurableWriter
from tidegate.cli import main

DurableWriter.record = lambda self, batches: None  # type: ignore[method-assign]
main()
