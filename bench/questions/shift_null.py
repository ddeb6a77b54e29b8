"""Does the window test keep its rate of false positives? Both the reference's rows and the window are drawn each time."""

import numpy as np

from bench.questions import shift
from bench.sets import SETS
from bench.tables import publish
from bench.tidegate_detector import reference_of
from tidegate import check_window

SIZES = (100, 500)


def run(repeats: int, peer_repeats: int) -> None:
    """Print the share of unshifted windows called shifted, by set and size."""
    rows = []
    for name in shift.CHOSEN:
        domain = SETS[name]()
        reference = reference_of(domain, shift.REFERENCE_ROWS)
        embeddings = np.concatenate([domain.held_out.embeddings, domain.fresh.embeddings])
        logits = np.concatenate([domain.held_out.logits, domain.fresh.logits])
        shares = []
        for n in SIZES:
            detections = 0
            for repeat in range(repeats):
                rng = np.random.default_rng([7, n, repeat])
                order = rng.permutation(len(embeddings))
                compared, window = order[: shift.REFERENCE_ROWS], order[shift.REFERENCE_ROWS : shift.REFERENCE_ROWS + n]
                fresh = reference.against(reference.rows(embeddings[compared], logits[compared]), "a fresh draw")
                detections += check_window(
                    fresh, embeddings[window], logits[window], alpha=shift.ALPHA, rng=rng
                ).detected
            shares.append(detections / repeats)
        rows.append((name, *shares))
    note = (
        f"Share of windows without a shift that are called shifted at alpha {shift.ALPHA}; {repeats} each, window and the "
        f"{shift.REFERENCE_ROWS:,} rows it is compared with drawn anew every time."
    )
    columns = ["", *(f"n = {n}" for n in SIZES)]
    publish("shift-null", "Shift: false positives", columns, rows, note, "python -m bench.detection shift-null")
