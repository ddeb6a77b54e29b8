"""Drawing: round ticks, scales that never divide by zero, text that stays text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import svg


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_lie_within_their_range_and_are_few(low: float, span: float) -> None:
    marks = svg.ticks(low, low + span)
    assert all(low - span * 1e-6 <= mark <= low + span * (1 + 1e-6) for mark in marks)
    assert 1 <= len(marks) <= 12


@pytest.mark.parametrize(
    ("low", "high", "marks"), [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 10, [0, 2, 4, 6, 8, 10]), (3, 3, [3])]
)
def test_ticks_are_round(low: float, high: float, marks: list[float]) -> None:
    assert svg.ticks(low, high) == pytest.approx(marks)


def test_a_scale_of_no_width_puts_everything_at_its_start() -> None:
    assert svg.Scale(2, 2, 10, 20)(2) == 10


def test_text_is_escaped() -> None:
    assert "<b>" not in svg.text(0, 0, "<b>&") + svg.bar(0, 0, 1, 1, "x", "<b>")
