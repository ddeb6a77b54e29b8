"""In what a row differs from its nearest training row, as people read it."""

from monitor.shift.row_differences import CellDifference, cell_words, differences, spreads_of

RECORDS = [{"age": float(age), "weight": 70 + age / 1000, "wet": True, "colour": "red"} for age in range(100)]


def test_columns_come_in_the_order_of_how_unusual_their_difference_is() -> None:
    spreads = spreads_of(RECORDS)
    assert set(spreads) == {"age", "weight"}
    row = {"age": 99.0, "weight": 90.0, "wet": False, "colour": "red"}
    other = {"age": 11.0, "weight": 70.0, "wet": True, "colour": "red"}
    assert differences(row, other, spreads, 8) == [
        CellDifference("weight", "90", "70"),
        CellDifference("age", "99", "11"),
        CellDifference("wet", "false", "true"),
    ]
    assert len(differences(row, other, spreads, 2)) == 2


def test_a_number_that_came_through_float32_is_the_same_number() -> None:
    assert differences({"x": 0.30000001192092896}, {"x": 0.3}, {"x": 1e-9}, 8) == []
    assert cell_words(0.30000001192092896) == "0.3"


def test_a_missing_value_differs_from_any_other() -> None:
    assert differences({"x": None, "y": None}, {"x": 1.0}, {"x": 1.0}, 8) == [CellDifference("x", "missing", "1")]
