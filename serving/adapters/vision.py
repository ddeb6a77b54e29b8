"""Pictures: decoded by the learner's own pipeline, from the bytes of an image file."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from serving.adapters.base import Adapter, Item, Limits
from store.errors import BadInput, BadLearner
from store.predictions import RawInput

# Our own limit is checked on the header, before any pixel is decoded, and answers the caller.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FORMATS = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO"}
_READABLE = "Send a JPEG, PNG, WebP, GIF, BMP or TIFF file."


class Vision(Adapter):
    """A learner over images."""

    application: ClassVar[str] = "vision"

    def __init__(self, learner: Any, limits: Limits) -> None:
        self._maximum_pixels = limits.maximum_megapixels * 1e6
        if learner.dls.n_inp != 1:
            raise BadLearner(f"This learner takes {learner.dls.n_inp} inputs at once; Tidegate serves those with one.")
        self._dl = _validation_loader(learner)
        self._pipeline = self._dl.dataset.tls[0].tfms

    @classmethod
    def serves(cls, learner: Any) -> bool:
        from fastai.data.core import Datasets
        from fastai.vision.core import PILBase

        dataset = learner.dls.valid_ds
        if not isinstance(dataset, Datasets) or not dataset.tls:
            return False
        return any(_makes(transform, PILBase) for transform in dataset.tls[0].tfms.fs)

    def decode(self, raw: RawInput) -> Item:
        self._check_header(raw.content)
        try:
            decoded = self._dl.after_item((self._pipeline(raw.content),))
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise BadInput(f"The image is damaged: {error}. {_READABLE}") from error
        return Item(decoded)

    def _check_header(self, content: bytes) -> None:
        if not content:
            raise BadInput(f"The image is empty: 0 bytes came. {_READABLE}")
        try:
            with Image.open(io.BytesIO(content)) as image:
                kind, (width, height) = image.format, image.size
        except Image.DecompressionBombError as error:
            raise self._too_many_pixels(str(error)) from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise BadInput(f"These {len(content):,} bytes are not an image that can be read. {_READABLE}") from error
        if kind not in FORMATS:
            raise BadInput(f"Images of format {kind} are not accepted. {_READABLE}", status=415)
        if width * height > self._maximum_pixels:
            raise self._too_many_pixels(f"{width} × {height} pixels")

    def _too_many_pixels(self, size: str) -> BadInput:
        return BadInput(
            f"The image is too large to decode ({size}); at most {self._maximum_pixels / 1e6:g} megapixels are accepted. "
            "Send a smaller one: the learner resizes it anyway.",
            status=413,
        )

    def batch(self, items: Sequence[Item]) -> tuple[Any, ...]:
        from fastai.torch_core import to_device

        samples = [item.content for item in items]
        # fastai tells the batch transforms that they validate (and do not augment) only when an iteration begins.
        self._dl.before_iter()
        collated = self._dl.retain(self._dl.create_batch(self._dl.before_batch(samples)), samples)
        return tuple(self._dl.after_batch(to_device(collated, self._dl.device)))[:1]

    def fingerprint(self, item: Item) -> npt.NDArray[np.float32]:
        return np.asarray(item.content[0], np.float32).ravel()

    def example(self) -> RawInput:
        return RawInput("image/png", _picture())

    def columns(self, raw: RawInput) -> dict[str, Any]:
        return {}


def raw_image(item: Any) -> RawInput:
    """A training item as the bytes of an image file: read from its path, or encoded without loss."""
    if isinstance(item, bytes):
        return RawInput(media_type_of(item), item)
    if isinstance(item, str | Path):
        content = Path(item).read_bytes()
        return RawInput(media_type_of(content), content)
    image = item if isinstance(item, Image.Image) else Image.fromarray(np.asarray(item))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return RawInput("image/png", buffer.getvalue())


def media_type_of(content: bytes) -> str:
    """The media type of an image file, read from its header."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return Image.MIME.get(image.format or "", "application/octet-stream")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return "application/octet-stream"


def source_of(dataset: Any, item: Any) -> Any:
    """What the learner's pipeline opens for a training item: its getters applied, up to the step that makes an image."""
    from fastai.vision.core import PILBase

    for transform in dataset.tls[0].tfms.fs:
        if isinstance(item, bytes | Image.Image) or _makes(transform, PILBase):
            break
        item = transform(item)
    return item


def _validation_loader(learner: Any) -> Any:
    """fastai's own test loader, entered at the first step of the pipeline that takes the bytes of an image file.

    Learners made from a data frame or with `get_x` begin with steps that turn a row into a path.
    """
    picture = _picture()
    steps = learner.dls.valid_ds.tls[0].tfms.fs
    errors = []
    for start in range(len(steps)):
        try:
            dl = learner.dls.test_dl([picture], rm_type_tfms=start, num_workers=0, bs=1)
            dl.one_batch()
        except Exception as error:  # noqa: BLE001 - any step may refuse bytes in its own way
            errors.append(f"{steps[start]}: {type(error).__name__}: {error}")
        else:
            return dl
    raise BadLearner(
        "No step of this learner's pipeline takes the bytes of an image file. What each one said:\n  "
        + "\n  ".join(errors)
    )


def _makes(transform: Any, kind: type) -> bool:
    """Whether a step of a pipeline is an image type's `create`."""
    functions = [transform, getattr(transform, "encodes", None)]
    owners = []
    for function in functions:
        methods = getattr(function, "methods", None) or []
        implementations = [getattr(method, "implementation", method) for method in methods]
        owners += [getattr(candidate, "__self__", None) for candidate in [function, *implementations]]
    return any(isinstance(owner, type) and issubclass(owner, kind) for owner in owners)


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
