"""Pictures: decoded by the learner's own pipeline, from the bytes of an image file."""

import io
import warnings
from collections.abc import Hashable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from serving.learner.adapters.base import Adapter, Collated, Item, Limits, collate_by_fastai
from serving.learner.adapters.picture_entry import as_file, find_entry
from serving.learner.adapters.vision_steps import ImageSteps, image_steps_of, image_type
from serving.learner.decoding import decode_batch
from serving.learner.targets import types_of_parts
from store.errors import BadInput
from store.recording.prediction_batch import RawInput

# Our own limit is checked on the header, before any pixel is decoded, and answers the caller.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FORMATS = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO"}
# Of a normalised pixel: far below what moves a probability by 1e-4.
_PIXEL_TOLERANCE = 1e-4
_READABLE = "Send a JPEG, PNG, WebP, GIF, BMP or TIFF file."


class Vision(Adapter):
    """A learner over images."""

    application: ClassVar[str] = "vision"
    takes: ClassVar[Literal["pictures", "rows", "texts"]] = "pictures"

    def __init__(self, learner: Any, limits: Limits) -> None:
        self._maximum_pixels = limits.maximum_megapixels * 1e6
        self.decode_targets = decode_batch(learner)
        self.entry = find_entry(learner, _example_pictures()[0])
        self._dl = self.entry.loader
        self._pipeline = self._dl.dataset.tls[0].tfms
        steps = None if self.entry.by_path else image_steps_of(self._dl)
        self._image_steps = steps if steps is not None and self._matches_fastai(steps) else None
        self.in_graph = None if self._image_steps is None else self._image_steps.arithmetic

    @classmethod
    def serves(cls, learner: Any) -> bool:
        from fastai.data.core import Datasets
        from fastai.torch_core import TensorImageBase

        dataset = learner.dls.valid_ds
        if not isinstance(dataset, Datasets) or not dataset.tls:
            return False
        if any(image_type(transform) is not None for transform in dataset.tls[0].tfms.fs):
            return True
        # Opened by a step of the user's own.
        kind = types_of_parts(learner, dataset)[0]
        return kind is not None and issubclass(kind, TensorImageBase)

    def decode(self, raw: RawInput) -> Item:
        image = self._open(raw.content)
        try:
            return Item(
                self._decode_by_fastai(raw.content) if self._image_steps is None else self._image_steps.decode(image)
            )
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise BadInput(f"The image is damaged: {error}. {_READABLE}") from error

    def _decode_by_fastai(self, content: bytes) -> tuple[Any, ...]:
        if not self.entry.by_path:
            return self._run_steps(content)
        with as_file(content) as path:
            return self._run_steps(path)

    def _run_steps(self, item: bytes | Path) -> tuple[Any, ...]:
        sample: tuple[Any, ...] = self._dl.after_item((self._pipeline(item),))
        return sample

    def _open(self, content: bytes) -> Image.Image:
        """The image with its header read and checked against the limits, and no pixel decoded."""
        if not content:
            raise BadInput(f"The image is empty: 0 bytes came. {_READABLE}")
        try:
            image = Image.open(io.BytesIO(content))
        except Image.DecompressionBombError as error:
            raise self._too_large_error(str(error)) from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise BadInput(f"These {len(content):,} bytes are not an image that can be read. {_READABLE}") from error
        if image.format not in FORMATS:
            raise BadInput(f"Images of format {image.format} are not accepted. {_READABLE}", status=415)
        width, height = image.size
        if width * height > self._maximum_pixels:
            raise self._too_large_error(f"{width} × {height} pixels")
        return image

    def _too_large_error(self, size: str) -> BadInput:
        return BadInput(
            f"The image is too large to decode ({size}); at most {self._maximum_pixels / 1e6:g} megapixels are accepted. "
            "Send a smaller one: the learner resizes it anyway.",
            status=413,
        )

    def collate(self, items: Sequence[Item]) -> Collated:
        if self._image_steps is not None:
            return Collated((torch.from_numpy(np.stack([item.content for item in items])),))
        return Collated(collate_by_fastai(self._dl, [item.content for item in items])[:1])

    def shape_of(self, item: Item) -> Hashable:
        # A learner that does not resize is given pictures of many sizes.
        pixels = item.content[0] if self._image_steps is None else item.content
        return tuple(pixels.shape) if hasattr(pixels, "shape") else None

    def _matches_fastai(self, steps: ImageSteps) -> bool:
        """Whether the direct steps give the same pixels and tensors as the learner's own pipeline, on several pictures."""
        for raw in self.examples():
            decoded = steps.decode(self._open(raw.content))
            sample = self._decode_by_fastai(raw.content)
            if not np.array_equal(np.moveaxis(decoded, -1, 0), np.asarray(sample[0])):
                return False
            actual = steps.arithmetic(torch.from_numpy(decoded[None]))
            expected = collate_by_fastai(self._dl, [sample])[0]
            if actual.shape != expected.shape or not torch.allclose(actual, expected.float(), atol=_PIXEL_TOLERANCE):
                return False
        return True

    def fingerprint(self, item: Item) -> npt.NDArray[np.float32]:
        # Channels first, as the learner's own pipeline has them.
        pixels = item.content[0] if self._image_steps is None else np.moveaxis(item.content, -1, 0)
        return np.asarray(pixels, np.float32).ravel()

    def examples(self) -> list[RawInput]:
        return [RawInput("image/png", content) for content in _example_pictures()]

    def source_of(self, dataset: Any, item: Any) -> Any:
        """What enters the pipeline for a training item: its steps applied, up to the one that a picture sent enters at."""
        for step in dataset.tls[0].tfms.fs[: self.entry.start]:
            item = step(item)
        return item

    def columns(self, raw: RawInput) -> dict[str, Any]:
        return {}


def raw_image(item: Any) -> RawInput:
    """A training item as the bytes of an image file: read from its path, or encoded without loss."""
    if isinstance(item, bytes):
        return RawInput(media_type_of(item), item)
    if isinstance(item, str | Path):
        content = Path(item).read_bytes()
        return RawInput(media_type_of(content), content)
    return RawInput(
        "image/png", encode_png(item if isinstance(item, Image.Image) else Image.fromarray(np.asarray(item)))
    )


# The first bytes of the usual formats: comparing them costs far less than opening the file, which happens later anyway.
_FILE_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def media_type_of(content: bytes) -> str:
    """The media type of an image file, read from its header."""
    for signature, media_type in _FILE_SIGNATURES.items():
        if content.startswith(signature):
            return media_type
    try:
        with Image.open(io.BytesIO(content)) as image:
            return Image.MIME.get(image.format or "", "application/octet-stream")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return "application/octet-stream"


@cache
def _example_pictures() -> list[bytes]:
    """A gradient, flat ones, noise; square and not, in colour and grey."""
    gradient = Image.linear_gradient("L").resize((64, 64))
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (48, 96), (96, 48), (300, 200))]
    dark = Image.fromarray(noise[0] // 16)
    pictures = [gradient.convert("RGB"), *map(Image.fromarray, noise), dark, Image.new("RGB", (64, 64)), gradient]
    return [encode_png(picture) for picture in pictures]


def encode_png(image: Image.Image) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
