"""Small pictures for pages."""

import base64
import io

from PIL import Image, UnidentifiedImageError


def thumbnail(content: bytes, side: int = 64) -> bytes:
    """A small picture of an image file, at most `side` pixels wide and high: PNG when tiny, else JPEG."""
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (side * 2, side * 2))
        small = image.convert("L" if image.mode in {"1", "L"} else "RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    if max(small.size) <= 32:
        small.save(buffer, "PNG", optimize=True)
    else:
        small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """A picture as a `data:` address, so that a page needs no other file."""
    kind = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail_uri(content: bytes, side: int = 96) -> str | None:
    """A thumbnail as a `data:` address; None if the bytes are no picture."""
    try:
        return data_uri(thumbnail(content, side))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
