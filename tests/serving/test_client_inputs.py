"""What the client takes as an input, how it sends it, and what it says of anything else."""

import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from serving.client_inputs import encode_inputs, to_json
from store.errors import BadInput

RNG = np.random.default_rng(0)
GREY, COLOURED = RNG.integers(0, 256, (9, 7), dtype=np.uint8), RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)


def sent(value: Any) -> Any:
    """One input as it is sent."""
    (encoded,) = encode_inputs([value])[1]
    return encoded


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)))


@pytest.mark.parametrize("array", [GREY, COLOURED, GREY[:, :, None], RNG.integers(0, 256, (5, 4, 4), dtype=np.uint8)])
def test_an_array_arrives_with_its_pixels(array: np.ndarray) -> None:
    assert (pixels(sent(array)) == array.reshape(array.shape[:2] if array.shape[2:] == (1,) else array.shape)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F", "YCbCr"])
def test_a_pil_picture_of_any_mode_arrives_with_its_pixels(mode: str) -> None:
    picture = Image.fromarray(COLOURED).convert("I" if mode == "I;16" else mode)
    picture = picture.convert("I;16") if mode == "I;16" else picture
    arrived = Image.open(BytesIO(sent(picture)))
    assert arrived.mode == mode
    assert (np.asarray(arrived) == np.asarray(picture)).all()


def test_a_fastai_picture_is_a_pil_picture() -> None:
    from serving.learner.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from fastai.vision.core import PILImage

    assert (pixels(sent(PILImage.create(COLOURED))) == COLOURED).all()


def test_a_picture_arrives_from_its_file_or_bytes_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(GREY).save(file)
    content = file.read_bytes()
    assert sent(file) == sent(content) == sent(bytearray(content)) == content


def test_a_row_may_be_a_dictionary_or_a_row_of_a_table_and_many_a_table() -> None:
    frame = pd.DataFrame(
        {
            "age": pd.array([4, None], "Int64"),
            "size": [1.5, np.nan],
            "at": [pd.Timestamp("2026-01-02"), pd.NaT],
            "new": [True, False],
        }
    )
    rows = [
        {"age": 4, "size": 1.5, "at": "2026-01-02T00:00:00", "new": True},
        {"age": None, "size": None, "at": None, "new": False},
    ]
    assert json.loads(to_json(encode_inputs(frame)[1])) == rows
    assert [json.loads(to_json(sent(row))) for _, row in frame.iterrows()] == rows
    assert sent({"age": 4}) == {"age": 4}


def test_a_text_file_is_sent_as_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Schön!", encoding="utf-8")
    assert encode_inputs([tmp_path / "a.txt", "Gut."]) == ("texts", ["Schön!", "Gut."])


def test_a_string_that_names_a_picture_lying_here_is_told_to_be_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sent("cat.png") == "cat.png"
    Image.fromarray(GREY).save("cat.png")
    with pytest.raises(BadInput, match=r"To send the picture: Path\('cat.png'\)"):
        encode_inputs(["cat.png"])
    assert sent("I saw cat.png and liked it.") == "I saw cat.png and liked it."


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "type NoneType can't be sent. Send a picture"),
        (3.5, "type float"),
        ([{"a": 1}], "`predict_many` takes a list"),
        (GREY.astype(np.float32), r"float32 and shape \(9, 7\) came"),
        (np.zeros((3, 9, 7), np.uint8), r"shape \(3, 9, 7\) came"),
        (np.zeros((0, 7), np.uint8), r"shape \(0, 7\)"),
        (pd.DataFrame({"a": [1]}), r"predict_many\(frame\)"),
        (Path("nowhere.png"), "nowhere.png can't be read: No such file"),
    ],
    ids=repr,
)
def test_anything_else_is_named_with_what_is_taken(value: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        encode_inputs([value])


@pytest.mark.parametrize("value", ["a text", b"bytes", Path("a.png"), {"a": 1}, Image.fromarray(GREY)], ids=repr)
def test_one_input_where_several_are_taken_is_told_to_go_into_a_list(value: Any) -> None:
    with pytest.raises(BadInput, match="put it into a list"):
        encode_inputs(value)


def test_inputs_of_several_kinds_are_refused_and_none_at_all_too() -> None:
    with pytest.raises(BadInput, match="not several kinds"):
        encode_inputs(["a text", b"bytes"])
    with pytest.raises(BadInput, match="at least one"):
        encode_inputs([])


def test_without_pillow_an_array_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BadInput, match="pip install pillow"):
        encode_inputs([GREY])
