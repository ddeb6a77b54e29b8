"""A reference in a few lines, for people."""

import numpy as np

from monitor.reference.conformal import FlaggedLaw
from monitor.reference.profile_content import ReferenceContent
from monitor.reference.thin_classes import describe_thin_classes


def summary_of(reference: ReferenceContent, threshold: float, flagged_law: FlaggedLaw) -> list[tuple[str, str]]:
    """What a person wants to know of a reference, as pairs of name and value.

    Args:
        reference: the reference's content.
        threshold: the OOD score from which an input is flagged; infinite where nothing can be.
        flagged_law: the law of the number of flagged in-domain rows.
    """
    lines = [("training rows", f"{reference.training_rows:,}"), ("held-out rows", f"{reference.held_out_rows:,}")]
    if reference.origin is not None:
        lines.insert(0, ("learner", reference.origin.name))
        if reference.origin.classes:
            lines.append(("classes", f"{len(reference.origin.classes):,}"))
        if reference.origin.accuracy is not None:
            lines.append(("accuracy on the held-out rows", f"{reference.origin.accuracy:.1%}"))
        lines.append(("calibrated on", reference.origin.calibration_source))
    dimension = reference.held_out.embeddings.shape[1]
    lines.append(("embedding", f"{dimension} numbers, scored by {_meaning_of_scorers(reference)}"))
    lines.append(("flagged from OOD score", _meaning_of(threshold, flagged_law)))
    if reference.thin_classes:
        names = reference.origin.classes if reference.origin is not None else []
        thin = reference.thin_classes
        # Of a reference that knows no names, the classes' numbers.
        names = names or [str(index) for index in range(max(thin_class.index for thin_class in thin) + 1)]
        lines.append(("not compared", f"too few held-out rows of {describe_thin_classes(thin, names)}"))
    return lines


def _meaning_of_scorers(reference: ReferenceContent) -> str:
    # Several scorers measure one thing in different ways.
    return " and ".join(dict.fromkeys(scorer.title for scorer in reference.scorers.values()))


def line_of(reference: ReferenceContent, threshold: float) -> str:
    """A reference in one line: whose it is, its rows, its numbers, and the OOD score from which an input is flagged."""
    owner = "" if reference.origin is None else f"of {reference.origin.name}: "
    dimension = reference.held_out.embeddings.shape[1]
    flagged = (
        f"flagged from OOD score {threshold:.2f}" if np.isfinite(threshold) else "too few held-out rows to flag any"
    )
    rows = f"{reference.training_rows:,} training rows, {reference.held_out_rows:,} held-out rows"
    return f"{owner}{rows}, {dimension:,} numbers each, {flagged}"


def _meaning_of(threshold: float, flagged_law: FlaggedLaw) -> str:
    if np.isfinite(threshold):
        one_in = round(1 / flagged_law.expected_share)
        return f"{threshold:.2f}: about 1 in {one_in:,} in-domain inputs will be flagged"
    return f"never: too few held-out rows for alpha {flagged_law.alpha:g}"
