"""The window: the slice of production that is compared with the reference."""

from dataclasses import dataclass

import numpy as np

from monitor.reference.profile import Reference
from monitor.reference.rows import Rows
from store.repositories.predictions import RecordedWindow


@dataclass(frozen=True)
class Window:
    """Predictions to compare with the reference.

    `rows` are all `total` predictions or a uniform sample of them; `flagged_total` of all are flagged, estimated from the
    sample where some were recorded without a score.
    """

    rows: Rows
    total: int
    flagged_total: int

    @classmethod
    def of_rows(cls, reference: Reference, rows: Rows) -> "Window":
        """The window of all of these rows."""
        return cls(rows, len(rows), int((rows.scores >= reference.threshold).sum()))

    @classmethod
    def of_record(cls, reference: Reference, recorded: RecordedWindow) -> "Window":
        """The window of recorded predictions, scored again, so that those recorded before there was a reference count too.

        Raises:
            BadInput: the recorded rows are not of the reference's learner.
        """
        if not recorded.ids:
            return cls(reference.held_out.take(np.zeros(0, np.int64)), recorded.total, recorded.flagged_total)
        logits = recorded.logits if reference.uses_logits else None
        rows = reference.rows(recorded.embeddings, logits)
        flagged = recorded.flagged_total
        if recorded.scored_total < recorded.total:
            share = float((rows.scores >= reference.threshold).mean()) if len(rows) else 0.0
            flagged = round(share * recorded.total)
        return cls(rows, recorded.total, flagged)

    @property
    def flagged_share(self) -> float:
        return self.flagged_total / self.total if self.total else 0.0
