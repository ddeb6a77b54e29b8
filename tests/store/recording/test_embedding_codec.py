"""The embedding's column: what goes in comes out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from store.errors import StoreUnavailable
from store.recording.embedding_codec import decode_embeddings, decode_logits, encode_embeddings, encode_logits

halves = arrays.arrays(np.float16, st.integers(1, 64), elements=st.floats(width=16, allow_nan=False))
singles = arrays.arrays(np.float32, st.integers(1, 64), elements=st.floats(width=32, allow_nan=False))


@given(halves)
def test_an_embedding_comes_back_as_float16_holds_it(embedding: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_embeddings(encode_embeddings(embedding[None]))[0], embedding)


@given(singles)
def test_logits_come_back_exactly(logits: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_logits(encode_logits(logits[None]))[0], logits)


def test_values_past_float16_become_infinite_and_not_garbage() -> None:
    assert np.isinf(decode_embeddings(encode_embeddings(np.array([[1e6, -1e6]])))).all()


def test_the_bytes_are_little_endian_behind_their_length() -> None:
    assert encode_embeddings(np.array([[1.0]])) == [b"\x01\x00\x00\x00\x00\x3c"]


@pytest.mark.parametrize("damaged", [b"", b"\x02\x00\x00\x00\x00\x3c", b"\x01\x00\x00\x00\x00\x3c\x00"])
def test_a_damaged_column_is_an_error_and_not_numbers(damaged: bytes) -> None:
    (good,) = encode_embeddings(np.array([[1.0]]))
    with pytest.raises(StoreUnavailable, match="differ in length"):
        decode_embeddings([good, damaged])
