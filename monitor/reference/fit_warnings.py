"""What makes training rows weak: few of them, constant dimensions, duplicates, a single class."""

import numpy as np

from monitor.reference.scorers import Training
from monitor.reference.usable_rows import FEW_ROWS

DUPLICATE_ROWS = 20_000


def weaknesses(training: Training) -> list[str]:
    """Warnings about training rows, in sentences. They are read in pieces."""
    embeddings = training.features.embeddings
    n, d = embeddings.shape
    warnings = []
    if n < FEW_ROWS:
        warnings.append(f"Only {n:,} training rows: scores will be rough. {FEW_ROWS} or more are better.")
    if n <= d:
        warnings.append(f"Fewer training rows ({n:,}) than dimensions ({d:,}): directions between them are guessed.")
    lowest, highest = np.full(d, np.inf), np.full(d, -np.inf)
    for _, chunk in training.features.chunks():
        lowest, highest = np.minimum(lowest, chunk.min(axis=0)), np.maximum(highest, chunk.max(axis=0))
    constant = int((lowest == highest).sum())
    if constant == d:
        warnings.append("All training rows have the same embedding: nothing can be told from it.")
    elif constant:
        warnings.append(f"{constant:,} of {d:,} embedding dimensions are constant in training.")
    sample = np.asarray(embeddings[:: max(1, n // DUPLICATE_ROWS)])
    if sample.shape[0] - np.unique(sample, axis=0).shape[0] > sample.shape[0] // 2:
        warnings.append("More than half of the training rows are duplicates of others.")
    if training.classes is not None and np.unique(training.classes).size == 1:
        warnings.append("All training rows are of one class.")
    return warnings
