"""QuantileSketch of any number of values in two kilobytes, which add up: sketches of Karnin, Lang & Liberty (2016).

A sketch's quantile is that of a share which differs from the one asked for by at most .0133, with 99 % confidence.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from datasketches import kll_floats_sketch

from store.errors import DamagedRecord

_SIZE = 200


class QuantileSketch:
    """A sketch of values; those that are not finite are left out."""

    __slots__ = ("_sketch",)

    def __init__(self) -> None:
        self._sketch = kll_floats_sketch(_SIZE)

    @classmethod
    def of(cls, values: npt.NDArray[np.floating]) -> "QuantileSketch":
        """Of these values `(n,)`."""
        made = cls()
        made._sketch.update(values[np.isfinite(values)].astype(np.float32))
        return made

    @classmethod
    def from_bytes(cls, content: bytes) -> "QuantileSketch":
        """Read a sketch; nothing at all is a sketch of nothing.

        Raises:
            DamagedRecord: these bytes are no sketch.
        """
        made = cls()
        if not content:
            return made
        try:
            made._sketch = kll_floats_sketch.deserialize(content)
        except (ValueError, RuntimeError, IndexError, MemoryError) as error:
            raise DamagedRecord(f"A sketch of quantiles can't be read: {error}") from error
        return made

    def to_bytes(self) -> bytes:
        """The sketch as it is recorded."""
        return b"" if self._sketch.is_empty() else bytes(self._sketch.serialize())

    def __len__(self) -> int:
        return int(self._sketch.n)

    def __add__(self, other: "QuantileSketch") -> "QuantileSketch":
        made = QuantileSketch()
        made._sketch.merge(self._sketch)
        made._sketch.merge(other._sketch)
        return made

    def at(self, shares: Sequence[float]) -> list[float] | None:
        """The values below which these shares lie; None of nothing."""
        return None if self._sketch.is_empty() else [float(value) for value in self._sketch.get_quantiles(list(shares))]
