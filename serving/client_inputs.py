"""What a client may be given as an input, and how it is sent: pictures as files, rows and texts as JSON.

Pictures of PIL, arrays of numpy and rows of pandas are known by what they are, so that the client imports none of these
libraries; PIL makes PNGs of arrays.
"""

import json
import math
import os
import uuid
from collections.abc import Iterable, Mapping
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Protocol

from store.errors import BadInput

Kind = Literal["file", "rows", "texts"]

_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_TEXT_ENDING = ".txt"
_LONGEST_PATH = 4_096
_ACCEPTED = (
    "Send a picture (a Path, bytes, a PIL picture, or a uint8 array of shape (height, width) or (height, width, 3)), a row "
    "(a dictionary or a pandas Series), or a text (a string, or the Path of a .txt file)."
)


class PictureLike(Protocol):
    """A picture of PIL."""

    @property
    def mode(self) -> str: ...

    def save(self, fp: Any, format: str | None = None) -> None: ...


class ArrayLike(Protocol):
    """An array of numpy."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


class SeriesLike(Protocol):
    """A row of pandas."""

    def to_dict(self) -> dict[Any, Any]: ...


class FrameLike(Protocol):
    """A table of pandas."""

    @property
    def columns(self) -> Any: ...

    @property
    def iloc(self) -> Any: ...


Input = bytes | bytearray | os.PathLike[str] | PictureLike | ArrayLike | Mapping[str, Any] | SeriesLike | str
Inputs = Iterable[Input] | FrameLike


def encode_inputs(inputs: Inputs) -> tuple[Kind, list[Any]]:
    """The kind of some inputs, and each as it is sent: a picture as the bytes of a file, a row as a dictionary, a text.

    Args:
        inputs: of one kind; a pandas DataFrame counts as its rows.

    Raises:
        BadInput: there are none, they are of several kinds, or one is of none.
    """
    if isinstance(inputs, str | bytes | bytearray | os.PathLike | Mapping) or _is_of("PIL", inputs):
        raise BadInput("One input came where several are taken: put it into a list, or call `predict`.", field="inputs")
    several: Any = inputs
    encoded = [_encode(value) for value in (several.to_dict("records") if _is_frame(inputs) else several)]
    kinds = {kind for kind, _ in encoded}
    if len(kinds) != 1:
        raise BadInput(
            f"One request holds pictures, or rows, or texts: at least one, and not several kinds. {_ACCEPTED}",
            field="inputs",
        )
    return kinds.pop(), [value for _, value in encoded]


def to_json(value: Any) -> bytes:
    """A value as JSON: numpy's as Python's, instants and ids as text, missing and infinite numbers as null.

    Raises:
        BadInput: JSON can't hold it.
    """
    return json.dumps(_to_json_value(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _encode(value: Any) -> tuple[Kind, Any]:
    if isinstance(value, bytes | bytearray):
        return "file", bytes(value)
    if isinstance(value, os.PathLike):
        return _encode_file(Path(value))
    if isinstance(value, str):
        _check_no_picture_file(value)
        return "texts", value
    if isinstance(value, Mapping):
        return "rows", dict(value)
    if _is_of("PIL", value):
        return "file", _encode_picture(value)
    if _is_of("numpy", value) and hasattr(value, "shape"):
        return "file", _encode_array(value)
    if _is_of("pandas", value) and type(value).__name__ == "Series":
        return "rows", value.to_dict()
    if _is_frame(value):
        raise BadInput("A DataFrame holds many rows: call `predict_many(frame)`, or `predict(frame.iloc[0])`.")
    hint = ""
    if isinstance(value, list | tuple):
        hint = "`predict` takes one input; `predict_many` takes a list of them. "
    raise BadInput(f"An input of type {type(value).__name__} can't be sent. {hint}{_ACCEPTED}", field="inputs")


def _encode_file(file: Path) -> tuple[Kind, Any]:
    try:
        content = file.read_bytes()
        return ("texts", content.decode()) if file.suffix.lower() == _TEXT_ENDING else ("file", content)
    except OSError as error:
        raise BadInput(f"{file} can't be read: {error.strerror}.", field="inputs") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8: {error}. Save it as UTF-8.", field="inputs") from error


def _check_no_picture_file(text: str) -> None:
    # Whether the model takes texts only the gateway knows; a text that is the name of a picture lying here is hardly one.
    if len(text) > _LONGEST_PATH or not text.lower().endswith(_PICTURE_ENDINGS):
        return
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):
        return
    if is_file:
        raise BadInput(
            f"A string is sent as a text, and {text!r} is a picture that lies here. To send the picture: "
            f"Path({text!r}).",
            field="inputs",
        )


def _encode_picture(picture: Any) -> bytes:
    """A picture as PNG, or as TIFF where PNG has no such mode, as for CMYK; nothing is lost in either."""
    for file_format in ("PNG", "TIFF"):
        content = BytesIO()
        try:
            picture.save(content, format=file_format)
        except (OSError, ValueError, KeyError):
            continue
        return content.getvalue()
    raise BadInput(
        f"A PIL picture of mode {picture.mode} can't be sent without loss: convert it, such as picture.convert('RGB').",
        field="inputs",
    )


def _encode_array(array: Any) -> bytes:
    shape = tuple(array.shape)
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if str(array.dtype) != "uint8" or not fits or 0 in shape:
        raise BadInput(
            "A picture as an array is uint8 of shape (height, width) or (height, width, 3), and one of "
            f"{array.dtype} and shape {shape} came. A row is a dictionary.",
            field="inputs",
        )
    try:
        from PIL import Image
    except ImportError as error:
        raise BadInput(
            "Sending an array as a picture takes Pillow, which is not installed: pip install pillow, or send the "
            "picture's file.",
            field="inputs",
        ) from error
    return _encode_picture(Image.fromarray(array[:, :, 0] if shape[2:] == (1,) else array))


def _is_of(library: str, value: object) -> bool:
    """Whether a value is of a class of this library, or of one derived from such."""
    return any(cls.__module__.partition(".")[0] == library for cls in type(value).__mro__)


def _is_frame(value: object) -> bool:
    return _is_of("pandas", value) and type(value).__name__ == "DataFrame"


def _to_json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_json_value(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json_value(element) for element in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):
        # Missing values of pandas, of which one is no number and the other counts as an instant.
        return None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if hasattr(value, "tolist"):
        # Arrays and scalars of numpy.
        return _to_json_value(value.tolist())
    raise BadInput(f"A value of type {type(value).__name__} can't be sent as JSON.", field="inputs")
