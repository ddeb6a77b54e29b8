"""The window: the slice of production that is compared with the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monitor.reference.profile import Reference
from monitor.reference.rows import RowIndices, Rows
from store.repositories.predictions import RecordedWindow


@dataclass(frozen=True)
class Window:
    """Predictions to compare with the reference.

    `rows` are all `total` predictions or a uniform sample of them; `flagged_total` of all are flagged, estimated from the
    sample where some were recorded without a score. `records` are the inputs of some of the rows as columns, where the
    inputs are rows of a table or texts and were kept. `left_out` rows are not among `rows`: they are of classes that have
    too few held-out rows (`monitor.reference.thin_classes`).
    """

    rows: Rows
    total: int
    flagged_total: int
    records: Sequence[Mapping[str, Any]] = ()
    left_out: int = 0

    @classmethod
    def of_rows(cls, reference: Reference, rows: Rows) -> "Window":
        """The window of all of these rows."""
        return cls(rows, len(rows), int((rows.scores >= reference.threshold).sum()))

    @classmethod
    def of_record(
        cls, reference: Reference, recorded: RecordedWindow, records: Sequence[Mapping[str, Any]] = ()
    ) -> "Window":
        """The window of recorded predictions, scored again, so that those recorded before there was a reference count too.

        Raises:
            BadInput: the recorded rows are not of the reference's learner.
        """
        if not recorded.ids:
            return cls(reference.held_out.take(np.zeros(0, np.int64)), recorded.total, recorded.flagged_total)
        rows = reference.rows(recorded.embeddings, recorded.logits)
        flagged = recorded.flagged_total
        if recorded.scored_total < recorded.total:
            share = float((rows.scores >= reference.threshold).mean()) if len(rows) else 0.0
            flagged = round(share * recorded.total)
        return cls(rows, recorded.total, flagged, records)

    def taking(self, row_indices: RowIndices) -> "Window":
        """The window with these of its rows to compare, and the others left out."""
        if len(row_indices) == len(self.rows):
            return self
        return replace(self, rows=self.rows.take(row_indices), left_out=len(self.rows) - len(row_indices))

    @property
    def flagged_share(self) -> float:
        return self.flagged_total / self.total if self.total else 0.0
