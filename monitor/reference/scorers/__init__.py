"""Out-of-domain scorers, all of one shape. A new one registers itself in `SCORERS`."""

from monitor.reference.scorers.base import Features, Scorer, Training
from monitor.reference.scorers.fdbd import FastDecisionBoundary
from monitor.reference.scorers.neighbours import NearestNeighbours, RawNeighbours, WhitenedNeighbours

# Measured best as one fixed configuration (`python -m bench.detection ood`): they see different things. Mahalanobis
# distances to class means, relative ones, energy and the largest probability added nothing to these or took from them.
SCORERS: tuple[type[Scorer], ...] = (FastDecisionBoundary, NearestNeighbours, RawNeighbours, WhitenedNeighbours)

__all__ = ["SCORERS", "Features", "Scorer", "Training"]
