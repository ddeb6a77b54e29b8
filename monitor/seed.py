"""All randomness from one text: the same window always gives the same numbers."""

import hashlib

import numpy as np


def generator(seed: str) -> np.random.Generator:
    """The generator of a text."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "little"))
