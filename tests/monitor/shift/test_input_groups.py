"""Groups of new inputs are found, and recognised in later windows."""

import numpy as np

from monitor.shift.input_groups import KnownGroup, group_inputs


def cluster(centre: int, n: int, rng: np.random.Generator) -> np.ndarray:
    rows = 0.05 * rng.normal(size=(n, 32))
    rows[:, centre] += 1
    return rows


def test_inputs_that_look_alike_are_one_group_largest_first() -> None:
    rng = np.random.default_rng(0)
    groups = group_inputs(np.vstack([cluster(3, 40, rng), cluster(9, 60, rng)]))
    assert [group.number for group in groups] == [1, 2]
    assert set(groups[0].members) <= set(range(40, 100))
    assert set(groups[1].members) <= set(range(40))
    assert len(groups[0].members) > 40


def test_a_group_keeps_its_number_from_window_to_window_and_new_ones_follow() -> None:
    rng = np.random.default_rng(1)
    first = group_inputs(np.vstack([cluster(3, 40, rng), cluster(9, 60, rng)]))
    known = [KnownGroup(group.number, group.centre, group.radius) for group in first]
    second = group_inputs(np.vstack([cluster(20, 80, rng), cluster(3, 50, rng)]), known)
    by_members = {int(np.median(group.members)) // 80: group.number for group in second}
    assert by_members == {0: 3, 1: 2}


def test_few_inputs_or_none_that_are_finite_make_no_group() -> None:
    assert group_inputs(np.zeros((0, 4))) == []
    assert group_inputs(np.full((50, 4), np.nan)) == []
    assert group_inputs(cluster(1, 3, np.random.default_rng(2))) == []


def test_identical_inputs_are_one_group() -> None:
    (group,) = group_inputs(np.ones((30, 8)))
    assert group.members.size == 30
