"""Fusing scorers: u = −log p keeps the order everywhere, far inputs included."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.reference.fusion import TailLog

values = arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e5, 1e5))


@given(values, values)
def test_u_never_falls_as_the_value_rises(calibration: np.ndarray, new: np.ndarray) -> None:
    u = TailLog.fit(calibration)(np.sort(new))
    assert np.isfinite(u).all()
    assert (np.diff(u) >= -1e-9).all()


def test_far_inputs_keep_their_order_beyond_every_calibration_row() -> None:
    tail = TailLog.fit(np.random.default_rng(0).exponential(size=500))
    assert (np.diff(tail(np.array([10.0, 20.0, 40.0, 80.0]))) > 1).all()


def test_u_of_fresh_rows_is_about_minus_log_p() -> None:
    rng = np.random.default_rng(1)
    u = TailLog.fit(rng.exponential(size=4_000))(rng.exponential(size=4_000))
    for level in (0.5, 0.1, 0.01):
        assert abs((u >= -np.log(level)).mean() - level) < 0.1 * level + 0.01


def test_identical_calibration_values_still_give_numbers() -> None:
    u = TailLog.fit(np.full(50, 3.0))(np.array([2.0, 3.0, 4.0]))
    assert np.isfinite(u).all()
    assert u[2] > u[1] >= u[0]
