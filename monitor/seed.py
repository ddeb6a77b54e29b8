"""Random generators from a text, so that the same window always gives the same numbers."""

import hashlib

import numpy as np


def generator(seed: str) -> np.random.Generator:
    """The generator that a text seeds: PCG64 with the first 16 bytes of its SHA-256."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "little"))
