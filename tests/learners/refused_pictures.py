"""Learners over pictures that are refused, each with the reason."""

from typing import Any

import torch
from fastai.vision import all as fastai
from torch import nn
from torch.nn import functional

from tests.learners.case import Refused
from tests.learners.networks import body, network
from tests.learners.pictures import (
    CODES,
    brightness,
    letter,
    loaders,
    mask,
    pictures,
    with_callback,
)


def box(file):
    return [[1.0, 2.0, 20.0, 22.0]]


def box_classes(file):
    return [letter(file)]


def same_picture(file):
    return file


class Paired(nn.Module):
    """A model of two pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = body(), nn.Linear(16, 2)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.cat([self.body(one), self.body(other)], 1))
        return logits


class PairTransform(fastai.Transform):  # type: ignore[misc]
    """The steps of a siamese network: a picture, another, and whether they are alike."""

    def __init__(self, files: list) -> None:
        self.files = files

    def encodes(self, file):
        images = [
            fastai.TensorImage(fastai.image2tensor(fastai.PILImage.create(one).resize((32, 32))))
            for one in (file, self.files[0])
        ]
        return fastai.fastuple(*images, torch.tensor(int(letter(file) == letter(self.files[0]))))


class Doubled(fastai.Callback):  # type: ignore[misc]
    """A callback that changes what the model returns."""

    def after_pred(self) -> None:
        self.learn.pred = 2 * self.pred + 1


def _learner(blocks: tuple, get_y: Any, model: nn.Module, loss: Any, **options: Any) -> Any:
    return fastai.Learner(loaders(blocks, get_y, **options), model, loss_func=loss)


def _siamese() -> Any:
    files = pictures()
    items = fastai.TfmdLists(files, PairTransform(files), splits=fastai.RandomSplitter(seed=0)(files))
    data = items.dataloaders(bs=16, after_batch=[fastai.IntToFloatTensor], num_workers=0)
    return fastai.Learner(data, Paired(), loss_func=fastai.CrossEntropyLossFlat())


def signal_of(number):
    return fastai.TensorBase(torch.linspace(0, number % 7, 24).view(3, 8))


def parity_of(number):
    return "ab"[number % 2]


def _numbered_rows() -> Any:
    block = fastai.DataBlock(
        blocks=(fastai.TransformBlock(type_tfms=[signal_of]), fastai.CategoryBlock),
        get_y=parity_of,
        splitter=fastai.RandomSplitter(seed=0),
    )
    data = block.dataloaders(list(range(40)), bs=16, num_workers=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 2))
    return fastai.Learner(data, model, loss_func=fastai.CrossEntropyLossFlat())


class AlwaysDropping(nn.Module):
    """A model whose dropout stays on."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network(2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(functional.dropout(pixels, 0.5, training=True))
        return logits


class InADictionary(nn.Module):
    """A model that returns its logits under a name."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network(2)

    def forward(self, pixels: torch.Tensor) -> dict:
        return {"out": self.network(pixels)}


def first_cross_entropy(outputs, targets):
    return functional.cross_entropy(outputs["out"], targets)


class Unsure(fastai.Learner):  # type: ignore[misc]
    """A learner that says when it is not sure."""

    def predict(self, item, **options):
        decoded, index, probabilities = super().predict(item, **options)
        return ("unsure" if probabilities.max() < 0.6 else decoded), index, probabilities


def _own_loss(outputs, targets):
    return functional.cross_entropy(outputs, targets)


REFUSED = (
    Refused(
        "picture → one class, with a callback that changes outputs",
        "ImageBlock, CategoryBlock; `after_pred` of your own",
        lambda: with_callback(Doubled()).learner,
        "The learner's own Doubled changes what its model is given or returns",
    ),
    Refused(
        "picture → mask, with one output for two classes",
        "ImageBlock, MaskBlock; `BCEWithLogitsLossFlat()`",
        lambda: _learner(
            (fastai.ImageBlock, fastai.MaskBlock(codes=CODES)),
            mask,
            nn.Sequential(fastai.ConvLayer(3, 8), nn.Conv2d(8, 1, 1)),
            fastai.BCEWithLogitsLossFlat(),
        ),
        "The model returns numbers of shape (1, 32, 32) for a picture, and the target is a mask of 2 classes",
    ),
    Refused(
        "picture → mask, a loss function of your own",
        "ImageBlock, MaskBlock; `def my_loss(…)`",
        lambda: _learner(
            (fastai.ImageBlock, fastai.MaskBlock(codes=CODES)),
            mask,
            nn.Sequential(fastai.ConvLayer(3, 8), nn.Conv2d(8, 2, 1)),
            _own_loss,
        ),
        "The target is a mask, and the loss function _own_loss does not say",
    ),
    Refused(
        "picture → boxes",
        "ImageBlock, BBoxBlock, BBoxLblBlock",
        lambda: _learner(
            (fastai.ImageBlock, fastai.BBoxBlock, fastai.BBoxLblBlock),
            [box, box_classes],
            network(6),
            fastai.MSELossFlat(),
            n_inp=1,
        ),
        "Tidegate does not serve object detection: this learner predicts boxes",
    ),
    Refused(
        "picture → picture",
        "ImageBlock, ImageBlock",
        lambda: _learner(
            (fastai.ImageBlock, fastai.ImageBlock), same_picture, nn.Conv2d(3, 3, 3, padding=1), fastai.MSELossFlat()
        ),
        "Tidegate does not serve image generation: this learner predicts a picture",
    ),
    Refused(
        "two pictures → one class",
        "ImageBlock, ImageBlock, CategoryBlock",
        lambda: _learner(
            (fastai.ImageBlock, fastai.ImageBlock, fastai.CategoryBlock),
            letter,
            Paired(),
            fastai.CrossEntropyLossFlat(),
            n_inp=2,
            get_x=[same_picture, same_picture],
        ),
        "Tidegate does not serve several inputs at once: this learner takes 2 (picture, picture)",
    ),
    Refused(
        "number of a row → one class",
        "TransformBlock(type_tfms=[…]), CategoryBlock; items that are neither files nor pictures",
        _numbered_rows,
        "Tidegate does not serve inputs of this kind: this learner's steps (signal_of)",
    ),
    Refused(
        "picture → one class, a model that is random",
        "ImageBlock, CategoryBlock; dropout that stays on",
        lambda: _learner(
            (fastai.ImageBlock, fastai.CategoryBlock), letter, AlwaysDropping(), fastai.CrossEntropyLossFlat()
        ),
        "The model answers the same input differently each time",
    ),
    Refused(
        "picture → one class, a model that returns a dictionary",
        "ImageBlock, CategoryBlock",
        lambda: _learner((fastai.ImageBlock, fastai.CategoryBlock), letter, InADictionary(), first_cross_entropy),
        "The model returns a dict and not a tensor of numbers for each input",
    ),
    Refused(
        "picture → one class, a learner with a `predict` of its own",
        "ImageBlock, CategoryBlock; `class MyLearner(Learner)`",
        lambda: Unsure(
            loaders((fastai.ImageBlock, fastai.CategoryBlock), letter),
            network(2),
            loss_func=fastai.CrossEntropyLossFlat(),
        ),
        "The learner is a Unsure with a `predict` of its own",
    ),
    Refused(
        "siamese pictures",
        "TfmdLists with a transform of your own",
        _siamese,
        "Tidegate does not serve data sets of your own: this learner's data is a TfmdLists",
    ),
    Refused(
        "picture → a class and a number",
        "ImageBlock, CategoryBlock, RegressionBlock",
        lambda: _learner(
            (fastai.ImageBlock, fastai.CategoryBlock, fastai.RegressionBlock),
            [letter, brightness],
            network(3),
            fastai.MSELossFlat(),
            n_inp=1,
        ),
        "Tidegate does not serve several targets at once: this learner predicts 2 (class, numbers)",
    ),
    Refused(
        "picture → two classes of two kinds",
        "ImageBlock, CategoryBlock, CategoryBlock",
        lambda: _learner(
            (fastai.ImageBlock, fastai.CategoryBlock, fastai.CategoryBlock),
            [letter, letter],
            network(4),
            fastai.MSELossFlat(),
            n_inp=1,
        ),
        "Tidegate does not serve several targets at once: this learner predicts 2 (class, class)",
    ),
    Refused(
        "pictures without a target",
        "ImageBlock",
        lambda: _learner((fastai.ImageBlock,), None, network(2), fastai.MSELossFlat(), n_inp=1),
        "Tidegate does not serve learners without a target",
    ),
    Refused(
        "picture → one of two classes, with one output",
        "ImageBlock, CategoryBlock; `BCEWithLogitsLossFlat()`",
        lambda: _learner((fastai.ImageBlock, fastai.CategoryBlock), letter, network(1), fastai.BCEWithLogitsLossFlat()),
        "The model returns 1 number for an input, and the target has 2 classes (a, b)",
    ),
    Refused(
        "picture → one class, a loss function of your own",
        "ImageBlock, CategoryBlock; `def my_loss(…)`",
        lambda: _learner((fastai.ImageBlock, fastai.CategoryBlock), letter, network(2), _own_loss),
        "The target is one class, and the loss function _own_loss does not say",
    ),
)
