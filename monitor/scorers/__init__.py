"""Out-of-domain scorers, one method per file, all of one shape. A new one registers itself in `SCORERS`."""

from monitor.scorers.base import Features, Scorer, Training
from monitor.scorers.fdbd import FastDecisionBoundary
from monitor.scorers.knn import NearestNeighbours
from monitor.scorers.mahalanobis import Mahalanobis

# Measured best on four data sets as one fixed configuration (see docs/detection.md): complementary in what they see.
SCORERS: tuple[type[Scorer], ...] = (FastDecisionBoundary, NearestNeighbours, Mahalanobis)

__all__ = ["SCORERS", "Features", "Scorer", "Training"]
