"""Where a picture that was sent enters a learner's own steps: as bytes, or as a file that is written for it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving.learner.adapters.base import in_one_line
from store.errors import BadLearner


@dataclass(frozen=True)
class PictureEntry:
    """The learner's loader without the steps before `start`, and whether that step is given the path of a file and not the
    bytes of one."""

    loader: Any
    start: int
    by_path: bool


def find_entry(learner: Any, picture: bytes) -> PictureEntry:
    """The first step of a pipeline that takes the bytes, or the path, of a picture.

    Learners made from a data frame begin with steps that turn a row into a path, and are entered after them. A learner
    whose own first step opens files, or opens and crops them, is given a file.

    Args:
        learner: over pictures.
        picture: an example, as the bytes of a file.

    Raises:
        BadLearner: no step takes either.
    """
    steps = learner.dls.valid_ds.tls[0].tfms.fs
    errors: list[str] = []
    refused: list[BadLearner] = []
    with as_file(picture) as path:
        for start in range(len(steps)):
            by_bytes, by_path = (_pixels(learner, start, item, errors, refused) for item in (picture, path))
            if by_bytes is not None and (by_path is None or _same(by_bytes[1], by_path[1])):
                return PictureEntry(by_bytes[0], start, by_path=False)
            if by_path is not None:
                return PictureEntry(by_path[0], start, by_path=True)
    if refused:
        # A function of another Python: that is the reason, and it says how to go on.
        raise refused[-1]
    raise BadLearner(
        "No step of this learner's pipeline takes a picture, neither its bytes nor its path. What they said: "
        + "; ".join(dict.fromkeys(errors))
    )


@contextmanager
def as_file(content: bytes) -> Iterator[Path]:
    """The path of a file with this content, while the block lasts."""
    with tempfile.NamedTemporaryFile(prefix="tidegate-", suffix=_ending(content)) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)


def _pixels(
    learner: Any, start: int, item: Any, errors: list[str], refused: list[BadLearner]
) -> tuple[Any, np.ndarray] | None:
    """A loader that is entered at a step, and the batch it makes of a picture; None where it makes none."""
    step = learner.dls.valid_ds.tls[0].tfms.fs[start]
    try:
        loader = learner.dls.test_dl([item], rm_type_tfms=start, num_workers=0, bs=1)
        (pixels, *_) = loader.one_batch()
    except BadLearner as error:
        refused.append(error)
        return None
    except Exception as error:  # noqa: BLE001 - any step may refuse bytes in its own way
        errors.append(f"{in_one_line(step)}: {type(error).__name__}: {in_one_line(error)}")
        return None
    if getattr(pixels, "ndim", 0) == 4:
        return loader, np.asarray(pixels)
    # A step that takes the first of a pair takes the first byte of a file, without an error.
    errors.append(f"{in_one_line(step)}: made {tuple(getattr(pixels, 'shape', ()))} of a picture")
    return None


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other))


# Steps of the user's own may look at a file's ending.
_ENDINGS = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
}


def _ending(content: bytes) -> str:
    if content[8:12] == b"WEBP":
        return ".webp"
    return next((ending for signature, ending in _ENDINGS.items() if content.startswith(signature)), ".png")
