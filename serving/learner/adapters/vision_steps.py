"""The steps that nearly every vision learner takes, done directly: open, resize, stack, divide, normalise.

fastai dispatches each step on types and wraps each tensor, which costs milliseconds a batch. Where a learner's pipeline
holds only steps known here, the same steps are run directly; the adapter checks that both agree before it uses this.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from serving.learner.adapters.base import as_plain_tensor


class Arithmetic(nn.Module):
    """Pixels `(n, h, w, c)` of 0 to 255 as the model's `(n, c, h, w)`: divided, normalised. Channels stay last in memory."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, divisor: float, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.divisor = divisor
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels.permute(0, 3, 1, 2).float() / self.divisor - self.mean) / self.std


@dataclass(frozen=True)
class ImageSteps:
    """A vision pipeline without fastai's dispatch: `kind` of image, the transforms that resize it, the arithmetic."""

    kind: Any
    resizes: tuple[Any, ...]
    arithmetic: Arithmetic

    def decode(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """An opened image as pixels `(h, w, c)`."""
        image.load()
        mode = self.kind._open_args.get("mode")
        if mode:
            image = image.convert(mode)
        if self.resizes:
            image = self.kind(image)
            for resize in self.resizes:
                image = resize(image, split_idx=1)
        pixels = np.asarray(image)
        return pixels if pixels.ndim == 3 else pixels[..., None]


def image_steps_of(dl: Any) -> ImageSteps | None:
    """A validation loader's steps as direct steps, or None where one of them is not known here."""
    from fastai.data.core import TfmdDL
    from fastai.data.transforms import IntToFloatTensor, Normalize, ToTensor
    from fastai.vision import augment
    from fastai.vision.core import PILBase

    open_steps = [step for step in dl.dataset.tls[0].tfms.fs if getattr(step, "name", "") != "noop"]
    kind = image_type(open_steps[0]) if len(open_steps) == 1 else None
    if kind is None or kind.create.__func__ is not PILBase.create.__func__:
        return None
    if type(dl).create_batch is not TfmdDL.create_batch or len(dl.before_batch.fs):
        return None
    item_steps = [step for step in dl.after_item.fs if type(step) is not ToTensor]
    if any(type(step) not in (augment.Resize, augment.CropPad, augment.RandomResizedCrop) for step in item_steps):
        return None
    divisor, mean, std = 1.0, torch.zeros(1), torch.ones(1)
    for step in dl.after_batch.fs:
        if type(step) is IntToFloatTensor:
            divisor = float(step.div)
        elif type(step) is Normalize:
            mean, std = (as_plain_tensor(moment).detach().cpu() for moment in (step.mean, step.std))
        elif not type(step).__module__.startswith("fastai.vision.augment"):
            return None
    return ImageSteps(kind, tuple(item_steps), Arithmetic(divisor, mean, std))


def image_type(transform: Any) -> Any:
    """The kind of image that a step of a pipeline makes, such as `PILImageBW`; None where it makes none."""
    from fastai.vision.core import PILBase

    functions = [transform, getattr(transform, "encodes", None)]
    for function in functions:
        methods = getattr(function, "methods", None) or []
        for candidate in [function, *(getattr(method, "implementation", method) for method in methods)]:
            owner = getattr(candidate, "__self__", None)
            if isinstance(owner, type) and issubclass(owner, PILBase):
                return owner
    return None
