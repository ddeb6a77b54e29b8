"""Masks as pictures: a colour for each class."""

import colorsys
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

MOST_CLASSES = 256
# Its multiples lie far from each other on the colour wheel, however many there are.
_GOLDEN_RATIO = 0.618034


def mask_png(mask: npt.NDArray[np.uint8]) -> bytes:
    """A mask `(height, width)` as a PNG file whose pixel values are the class indices, each with a colour of its own."""
    height, width = mask.shape
    picture = Image.frombytes("P", (width, height), np.ascontiguousarray(mask).tobytes())
    picture.putpalette([part for index in range(int(mask.max(initial=0)) + 1) for part in _colour(index)])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def mask_colour(index: int) -> str:
    """The colour of a class in a mask, as CSS writes it."""
    return "#" + "".join(f"{part:02x}" for part in _colour(index))


def _colour(index: int) -> tuple[int, int, int]:
    # The first class is the background more often than not.
    if index == 0:
        return (38, 42, 54)
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, 0.6, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)
