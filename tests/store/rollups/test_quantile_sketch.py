"""Sketches of quantiles: within their error, however they were put together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import DamagedRecord
from store.rollups.quantile_sketch import QuantileSketch

# Three times what the source promises with 99 % confidence, so that chance alone does not fail a test.
ERROR = 3 * 0.0133


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 3_000), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_parts_together_have_the_quantiles_of_the_whole(sizes: list[int], seed: int) -> None:
    parts = [np.random.default_rng([seed, index]).lognormal(size=size) for index, size in enumerate(sizes)]
    whole = np.concatenate(parts)
    together = QuantileSketch()
    for part in parts:
        together = together + QuantileSketch.from_bytes(QuantileSketch.of(part).to_bytes())
    assert len(together) == whole.size
    shares = (0.01, 0.1, 0.5, 0.9, 0.99)
    quantiles = together.at(shares)
    if not whole.size:
        assert quantiles is None
        return
    assert quantiles is not None
    for share, value in zip(shares, quantiles, strict=True):
        # float32 rounds the value itself.
        below = (whole < value * (1 - 1e-6)).mean(), (whole <= value * (1 + 1e-6)).mean()
        assert below[0] - ERROR <= share <= below[1] + ERROR


def test_what_is_not_finite_is_left_out_and_adding_changes_neither() -> None:
    first = QuantileSketch.of(np.array([1.0, np.nan, np.inf, -np.inf, 3.0]))
    second = QuantileSketch.of(np.array([2.0]))
    assert (first + second).at([0.5]) == [2.0]
    assert (len(first), len(second)) == (2, 1)


@given(st.binary(min_size=1, max_size=200))
def test_bytes_that_are_no_sketch_are_refused(content: bytes) -> None:
    try:
        QuantileSketch.from_bytes(content)
    except DamagedRecord:
        return
    # Some few bytes are a sketch of nothing.
    assert len(QuantileSketch.from_bytes(content)) < 1_000


def test_a_cut_sketch_is_refused() -> None:
    whole = QuantileSketch.of(np.arange(1_000.0)).to_bytes()
    for cut in (1, 8, 40, len(whole) - 1):
        with pytest.raises(DamagedRecord):
            QuantileSketch.from_bytes(whole[:cut])
