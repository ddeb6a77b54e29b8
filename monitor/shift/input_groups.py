"""Groups of new inputs: flagged inputs with similar embeddings, which keep their number from window to window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA

from monitor.reference.rows import Floats32, RowIndices
from monitor.reference.scorers.base import unit_rows

SMALLEST_GROUP = 8
DIRECTIONS = 16
MAXIMUM_ROWS = 2_000


@dataclass(frozen=True)
class Group:
    """A group of similar inputs.

    Attributes:
        number: the same from window to window.
        centre: on the unit sphere, shape `(d,)`.
        radius: the distance from the centre within which nine in ten members lie.
        members: indices of its members among the rows given, the most typical first.
    """

    number: int
    centre: Floats32
    radius: float
    members: RowIndices


@dataclass(frozen=True)
class KnownGroup:
    """A group of an earlier window."""

    number: int
    centre: Floats32
    radius: float


def group_inputs(embeddings: npt.NDArray[np.floating], known_groups: Sequence[KnownGroup] = ()) -> list[Group]:
    """Cluster inputs into groups, largest first; inputs unlike all others are in no group.

    Hierarchical density-based clustering (Campello, Moulavi & Sander 2013) along the strongest directions of the
    inputs. A group whose centre lies within the radius of a known one gets its number; each known group is matched at
    most once, nearest pairs first. New groups get the numbers that follow.

    Args:
        embeddings: of flagged inputs, shape `(n, d)`; rows that are not finite are in no group.
        known_groups: groups of earlier windows.
    """
    finite = np.flatnonzero(np.isfinite(embeddings).all(axis=1))[:MAXIMUM_ROWS]
    if finite.size < SMALLEST_GROUP:
        return []
    unit = unit_rows(embeddings[finite])
    directions = min(DIRECTIONS, *unit.shape)
    spread = unit.std(axis=0).max()
    coordinates = PCA(directions, svd_solver="full").fit_transform(unit) if spread > 1e-6 else np.zeros((len(unit), 1))
    smallest = max(SMALLEST_GROUP, finite.size // 20)
    labels = HDBSCAN(min_cluster_size=smallest, allow_single_cluster=True, copy=True).fit_predict(coordinates)
    groups = [_unnumbered_group(unit, finite, labels == label) for label in range(labels.max() + 1)]
    return _with_numbers(sorted(groups, key=lambda group: -group.members.size), known_groups)


def _unnumbered_group(unit: Floats32, row_indices: RowIndices, members: npt.NDArray[np.bool_]) -> Group:
    centre = unit[members].mean(axis=0)
    centre = (centre / max(float(np.linalg.norm(centre)), 1e-12)).astype(np.float32)
    distances = np.linalg.norm(unit[members] - centre, axis=1)
    order = np.argsort(distances, kind="stable")
    return Group(0, centre, float(np.quantile(distances, 0.9)), row_indices[members][order])


def _with_numbers(groups: list[Group], known_groups: Sequence[KnownGroup]) -> list[Group]:
    pairs = sorted(
        (float(np.linalg.norm(group.centre - old.centre)), index, old.number, max(group.radius, old.radius))
        for index, group in enumerate(groups)
        for old in known_groups
    )
    numbers: dict[int, int] = {}
    for distance, index, number, radius in pairs:
        if distance <= radius and index not in numbers and number not in numbers.values():
            numbers[index] = number
    last_number = max((old.number for old in known_groups), default=0)
    numbered = []
    for index, group in enumerate(groups):
        if index not in numbers:
            last_number += 1
            numbers[index] = last_number
        numbered.append(Group(numbers[index], group.centre, group.radius, group.members))
    return numbered
