"""The one shape of a report section: plain values from what was watched, and their drawing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from monitor.passes.monitor_pass import PassResult
from store.recording.batches import RawInput
from store.repositories.predictions import FlaggedCount

Values = dict[str, Any]


class Record(Protocol):
    """What a section may look up of the window's predictions; the store's predictions are one."""

    def raw_inputs(self, ids: Sequence[UUID]) -> dict[UUID, RawInput]:
        """The kept inputs among these predictions."""
        ...

    def flagged_over_time(self, model_sha256: str, since: datetime, until: datetime, bins: int) -> list[FlaggedCount]:
        """Flagged predictions in equal stretches of time; none for a window without times."""
        ...


class Section(Protocol):
    """One part of a drift report."""

    name: str
    title: str
    lead: str

    def values(self, watched: PassResult, record: Record) -> Values | None:
        """The numbers, as JSON can hold them; None where this section has nothing to show."""
        ...

    def draw(self, values: Values) -> str:
        """The numbers as HTML, escaped."""
        ...
