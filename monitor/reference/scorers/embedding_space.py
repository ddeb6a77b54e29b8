"""A linear space in which distances are measured: centred, rotated, scaled, and cut to its strongest directions."""

from dataclasses import dataclass

import numpy as np

from monitor.reference.scorers.base import AnyFloats, Arrays, ClassIndices, Features, Floats, Floats32

DIRECTIONS = 192
_SMALLEST_EIGENVALUE = 1e-6


@dataclass(frozen=True)
class Space:
    """Coordinates `(x − centre) basis · scales`, and the squared distance of x from the basis (its squared residual).

    For rows off the basis ‖x − y‖² is nearly the squared distance of the coordinates plus the squared residuals of both
    rows: a row far off the basis stays far from everything.

    Attributes:
        centre: shape `(d,)`.
        basis: orthonormal, the q ≤ 192 strongest directions, shape `(d, q)`.
        scales: of the coordinates, shape `(q,)`.
        rest: the weight of the squared residuals; 0 where q = d.
    """

    centre: Floats32
    basis: Floats32
    scales: Floats32
    rest: float

    @classmethod
    def spanned_by(cls, rows: Floats, *, centred: bool) -> "Space":
        """The strongest directions of these rows, unscaled: plain Euclidean distance."""
        d = rows.shape[1]
        centre = rows.mean(axis=0) if centred else np.zeros(d)
        if d <= DIRECTIONS:
            return cls(centre.astype(np.float32), np.eye(d, dtype=np.float32), np.ones(d, np.float32), 0.0)
        from_centre = rows - centre
        basis = np.linalg.eigh(from_centre.T @ from_centre)[1][:, -DIRECTIONS:]
        return cls(centre.astype(np.float32), basis.astype(np.float32), np.ones(DIRECTIONS, np.float32), 1.0)

    @classmethod
    def whitened(cls, centre: Floats, covariance: Floats) -> "Space":
        """The space in which this covariance `(d, d)` is the identity; directions past q get the mean of their variances."""
        eigenvalues, vectors = np.linalg.eigh(covariance)
        # Constant dimensions and few rows give zero eigenvalues; the floor makes a move along them count, not explode.
        floor = max(float(eigenvalues.max()) * _SMALLEST_EIGENVALUE, 1e-30)
        eigenvalues = np.maximum(eigenvalues, floor)
        q = min(DIRECTIONS, eigenvalues.size)
        rest = float(1 / eigenvalues[:-q].mean()) if q < eigenvalues.size else 0.0
        scales = 1 / np.sqrt(eigenvalues[-q:])
        return cls(centre.astype(np.float32), vectors[:, -q:].astype(np.float32), scales.astype(np.float32), rest)

    def coordinates(self, rows: AnyFloats) -> tuple[Floats32, Floats32]:
        """The coordinates `(n, q)` of rows `(n, d)`, and their squared residuals `(n,)`, weighted by `rest`."""
        from_centre: Floats32 = rows.astype(np.float32, copy=False) - self.centre
        coordinates: Floats32 = from_centre @ self.basis
        if self.rest == 0:
            return coordinates * self.scales, np.zeros(len(coordinates), np.float32)
        squares = np.einsum("ij,ij->i", from_centre, from_centre)
        residuals = np.maximum(squares - np.einsum("ij,ij->i", coordinates, coordinates), 0) * np.float32(self.rest)
        return coordinates * self.scales, residuals.astype(np.float32, copy=False)

    def arrays(self) -> Arrays:
        return {"centre": self.centre, "basis": self.basis, "scales": self.scales, "rest": np.array([self.rest])}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Space":
        centre, basis, scales = (arrays[name].astype(np.float32) for name in ("centre", "basis", "scales"))
        return cls(centre, basis, scales, float(arrays["rest"].astype(np.float64)[0]))


def within_class(features: Features, classes: ClassIndices | None) -> tuple[Floats, Floats]:
    """The mean of all rows `(d,)` and the covariance of rows about the mean of their class `(d, d)`, shrunk.

    The shrinkage of Ledoit & Wolf (2004) needs no more than the covariance and the fourth moment, so that rows are read in
    pieces.

    Args:
        features: of n rows.
        classes: of the rows, shape `(n,)`; None to take all as one class.
    """
    n, d = features.embeddings.shape
    one_class = np.zeros(n, np.int64)
    present, inverse = np.unique(one_class if classes is None else classes, return_inverse=True)
    sums = np.zeros((present.size, d))
    for rows, chunk in features.chunks():
        np.add.at(sums, inverse[rows], chunk)
    means = sums / np.bincount(inverse)[:, None]
    scatter, fourth_moment = np.zeros((d, d)), 0.0
    for rows, chunk in features.chunks():
        centred = chunk - means[inverse[rows]]
        scatter += centred.T @ centred
        fourth_moment += float((np.einsum("ij,ij->i", centred, centred) ** 2).sum())
    return sums.sum(axis=0) / n, shrunk(scatter / n, fourth_moment / n, n)


def shrunk(covariance: Floats, fourth_moment: float, n: int) -> Floats:
    """The covariance shrunk towards a multiple of the identity, by its estimated noise (Ledoit & Wolf 2004).

    Args:
        covariance: of n centred rows, shape `(d, d)`.
        fourth_moment: mean ‖x‖⁴ of these rows.
        n: how many rows there are.
    """
    d = covariance.shape[0]
    mean_variance = float(np.trace(covariance)) / d
    spread = float(((covariance - mean_variance * np.eye(d)) ** 2).sum())
    noise = max(fourth_moment - float((covariance**2).sum()), 0.0) / n
    share = min(noise / spread, 1.0) if spread > 0 else 0.0
    result: Floats = (1 - share) * covariance + share * mean_variance * np.eye(d)
    return result
