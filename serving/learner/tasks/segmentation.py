"""Masks: a class for each pixel, answered as a picture, and recorded as the share of each class."""

import base64
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from reports.masks import MOST_CLASSES, mask_png
from serving.learner.activation import Activation
from serving.learner.outputs import Floats32, MaskPrediction, Outputs, Prediction, array
from serving.learner.tasks.base import ModelInputs, Task
from store.errors import BadLearner

# What a share can be at least, so that its logarithm is finite.
_LEAST_SHARE = 1e-9
# "The least sure pixels" are so large a share of a picture.
_LEAST_SURE = 0.05


class Segmentation(Task):
    """A mask for each picture, as large as the learner's own resizing makes it.

    What is recorded of n masks are logits `(n, c)`: the logarithm of the mean probability of each class over all pixels, so
    that their softmax is the share of the picture that each class is expected to cover. The confidence is the mean, over
    all pixels, of the probability of the class that was chosen there.
    """

    name: ClassVar[str] = "segmentation"

    def probabilities(self, logits: Floats32) -> Floats32:
        """The expected share of each class `(n, c)`, of maps `(n, c, height, width)` or of what is recorded `(n, c)`."""
        if logits.ndim == 2:
            return np.exp(logits)
        return np.stack([array(self._activate(maps)).mean(axis=(1, 2)) for maps in logits])

    def outputs(self, logits: Floats32, embedding: Floats32, model_inputs: Callable[[], ModelInputs]) -> Outputs:
        shares, confidences = [], []
        predictions: list[Prediction] = []
        # Picture by picture: the probabilities of all pixels of a batch would be as large as the batch's maps again.
        for maps in logits:
            activated = self._activate(maps)
            mask = self.activation.decide(activated[None])[0].numpy().astype(np.uint8)
            probabilities = array(activated)
            chosen = probabilities.max(axis=0)
            shares.append(probabilities.mean(axis=(1, 2)))
            confidences.append(chosen.mean())
            predictions.append(self._prediction(mask, chosen))
        expected = np.stack(shares).astype(np.float32)
        return Outputs(
            logits=np.log(np.maximum(expected, _LEAST_SHARE)),
            embedding=embedding,
            predictions=predictions,
            probabilities=expected,
            class_indices=None,
            confidences=np.array(confidences, np.float64),
        )

    def _activate(self, maps: Floats32) -> torch.Tensor:
        """The probabilities `(c, height, width)` of one picture."""
        return self.activation.activate(torch.from_numpy(maps[None]))[0]

    def _prediction(self, mask: npt.NDArray[np.uint8], chosen: Floats32) -> MaskPrediction:
        height, width = mask.shape
        counts = np.bincount(mask.ravel(), minlength=len(self.classes))
        shares = dict(zip(self.classes, (counts / mask.size).tolist(), strict=True))
        return MaskPrediction(
            mask=base64.b64encode(mask_png(mask)).decode(),
            height=height,
            width=width,
            shares={name: round(share, 4) for name, share in shares.items() if share},
            least_sure=round(float(np.quantile(chosen, _LEAST_SURE)), 4),
        )


def segmentation_of(activation: Activation, classes: list[str], maps: Floats32) -> Segmentation:
    """The task of a learner that predicts masks.

    Args:
        activation: what its loss function makes of raw outputs.
        classes: the codes of its masks; empty where the data names none: they are called by their numbers then.
        maps: the model's output for one picture, shape `(1, c, height, width)`.

    Raises:
        BadLearner: the model does not return a map for each class, or its loss function does not make a class of them.
    """
    if maps.ndim != 4 or maps.shape[1] > MOST_CLASSES or (classes and maps.shape[1] != len(classes)):
        expected = f"{len(classes)} classes" if classes else f"at most {MOST_CLASSES} classes"
        raise BadLearner(
            f"The model returns numbers of shape {tuple(maps.shape[1:])} for a picture, and the target is a mask of "
            f"{expected}. Give the model a map for each class: (classes, height, width)."
        )
    task = Segmentation(classes or [str(index) for index in range(maps.shape[1])], activation)
    activated = task._activate(maps[0])
    decided = activation.decide(activated[None])
    if decided.shape != (1, *maps.shape[2:]) or not torch.allclose(activated.sum(0), torch.ones(()), atol=1e-3):
        raise BadLearner(
            f"The target is a mask, and the loss function {activation.loss} does not say how the model's outputs become a "
            "class for each pixel. If the model returns logits: `learn.loss_func = CrossEntropyLossFlat(axis=1)`, then "
            "`learn.export()` again."
        )
    return task
