"""The encoding of embeddings and logits in a column: their length, then their values, little-endian."""

import struct

import numpy as np
import numpy.typing as npt

from store.errors import StoreUnavailable

_LENGTH = struct.Struct("<I")

FloatArray = npt.NDArray[np.floating]


def encode_embeddings(embeddings: FloatArray) -> list[bytes]:
    """Encode embeddings of shape `(n, d)`, each as its length and float16 values.

    Values past the range of float16 (±65,504) become infinite, which the scorers flag as out of domain.
    """
    with np.errstate(over="ignore"):
        return _encode(np.asarray(embeddings).astype("<f2"))


def encode_logits(logits: FloatArray) -> list[bytes]:
    """Encode logits of shape `(n, c)`, each row as its length and float32 values."""
    return _encode(np.asarray(logits).astype("<f4"))


def _encode(rows: FloatArray) -> list[bytes]:
    length = _LENGTH.pack(rows.shape[1])
    return [length + row.tobytes() for row in rows]


def decode_embeddings(columns: list[bytes]) -> npt.NDArray[np.float32]:
    """Decode float16 columns into an array of shape `(n, d)`, float32."""
    return _decode(columns, np.dtype("<f2"))


def decode_logits(columns: list[bytes]) -> npt.NDArray[np.float32]:
    """Decode float32 columns into an array of shape `(n, c)`, float32."""
    return _decode(columns, np.dtype("<f4"))


def _decode(columns: list[bytes], dtype: np.dtype[np.floating]) -> npt.NDArray[np.float32]:
    if not columns:
        return np.zeros((0, 0), dtype=np.float32)
    (length,) = _LENGTH.unpack_from(columns[0])
    expected = _LENGTH.size + length * dtype.itemsize
    if any(len(column) != expected or column[: _LENGTH.size] != columns[0][: _LENGTH.size] for column in columns):
        raise StoreUnavailable(
            "Recorded vectors of one model differ in length, so they can't be compared. "
            "The database holds rows of different learners under one hash, or a damaged row: restore it from a backup."
        )
    body = np.frombuffer(b"".join(column[_LENGTH.size :] for column in columns), dtype=dtype)
    return body.reshape(len(columns), length).astype(np.float32)
