"""Learners over pictures: every target that fastai has a block for, and heads and losses of every kind."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from fastai.vision import all as fastai
from PIL import Image
from torch import nn

from serving.learner.adapters.vision import raw_image
from tests.learners.case import Answer, Exported, Served, train
from tests.learners.networks import Cosine, FunctionalHead, WithClassToken, WithHead, body, network

N = 40
CODES = ["background", "thing"]


@cache
def pictures() -> list[Path]:
    """Pictures of many sizes, in files that begin with one of two letters."""
    folder = Path(mkdtemp(prefix="tidegate-learners-"))
    rng = np.random.default_rng(0)
    files = []
    for number in range(N):
        height, width = rng.integers(24, 60, 2)
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC)
        file = folder / f"{'ab'[number % 2]}_{number:02}.png"
        picture.save(file)
        files.append(file)
    return files


def letter(file: Path) -> str:
    return file.name[0]


def letters(file: Path) -> list:
    return [name for name, bit in zip("xyz", f"{number_of(file) % 8:03b}", strict=True) if bit == "1"]


def holds(file: Path) -> list:
    return [int(name in letters(file)) for name in "xyz"]


def number_of(file: Path) -> int:
    return int(file.stem[2:])


def brightness(file: Path) -> float:
    return number_of(file) / N


# Without annotations: fastai casts to what a getter says it returns.
def three_numbers(file):
    return torch.tensor([1.0, 2.0, 3.0]) * number_of(file)


def share(file):
    return torch.tensor([brightness(file)])


def points(file):
    return torch.tensor([[10.0, 20.0], [5.0, 7.0]]) + number_of(file) / 10


def mask(file):
    return fastai.PILMask(Image.fromarray((np.asarray(Image.open(file))[..., 0] > 128).astype(np.uint8)))


def cropped(file):
    return np.asarray(Image.open(file))[:20, :20]


def array_of(file):
    return fastai.TensorImage(fastai.image2tensor(Image.open(file).resize((32, 32)))).float()


class Mirrored(fastai.PILImage):  # type: ignore[misc]
    """A picture that is opened by its own code, which wants the name of a file."""

    @classmethod
    def create(cls, file, **options):
        return cls(Image.open(str(file)).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT))


class LogPrice(fastai.Transform):  # type: ignore[misc]
    """A target in other units: learnt as a logarithm, answered as itself."""

    def encodes(self, price):
        return torch.log1p(torch.tensor(float(price)))

    def decodes(self, logarithm):
        return torch.expm1(logarithm)


def loaders(blocks: tuple, get_y: Any, **options: Any) -> Any:
    options = {"item_tfms": fastai.Resize(32)} | options
    batch_size = options.pop("bs", 16)
    block = fastai.DataBlock(blocks=blocks, get_y=get_y, splitter=fastai.RandomSplitter(seed=0), **options)
    return block.dataloaders(pictures(), bs=batch_size, num_workers=0)


def predict(learner: Any, file: Path) -> Answer:
    """What `Learner.predict` answers."""
    with learner.no_bar():
        decoded, _, numbers = learner.predict(file)
    return decoded, numbers.tolist()


def by_definition_of(activation: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any, Path], Answer]:
    """What an answer is where the loss is PyTorch's own: `Learner.predict` returns raw outputs for it."""

    def answer(learner: Any, file: Path) -> Answer:
        raw = torch.tensor(predict(learner, file)[1])
        return learner.dls.vocab[int(raw.argmax())], activation(raw).tolist()

    return answer


def exported(
    target: Any,
    get_y: Any,
    model: Callable[[], nn.Module],
    *,
    image: Any = fastai.ImageBlock,
    loss: Any = None,
    answer: Callable[[Any, Path], Answer] = predict,
    **options: Any,
) -> Exported:
    learner = fastai.Learner(loaders((image, target), get_y, **options), model(), loss_func=loss)
    return Exported(train(learner), [raw_image(file) for file in pictures()], pictures(), answer)


def one_class(model: Callable[[], nn.Module], **options: Any) -> Exported:
    """Pictures of one class of two, by a model of any kind."""
    return exported(fastai.CategoryBlock, letter, model, **options)


def usual() -> Exported:
    """What the tutorials make, with fastai's own head."""
    options = {"batch_tfms": [*fastai.aug_transforms(), fastai.Normalize.from_stats(*fastai.imagenet_stats)]}
    data = loaders((fastai.ImageBlock, fastai.CategoryBlock), letter, **options)
    learner = fastai.vision_learner(data, fastai.models.squeezenet1_1, pretrained=False, metrics=fastai.accuracy)
    return Exported(train(learner), [raw_image(file) for file in pictures()], pictures(), predict)


def mixed_up() -> Exported:
    made = one_class(lambda: network(2), loss=fastai.LabelSmoothingCrossEntropyFlat())
    made.learner.add_cb(fastai.MixUp())
    train(made.learner)
    return made


def half_precision() -> Exported:
    made = one_class(lambda: network(2))
    made.learner.to_fp16()
    train(made.learner)
    return made


def scaled_points(size: Any) -> Exported:
    return exported(
        fastai.PointBlock,
        points,
        lambda: nn.Sequential(network(4), nn.Tanh()),
        loss=fastai.MSELossFlat(),
        item_tfms=fastai.Resize(size),
    )


def u_net() -> Exported:
    data = loaders((fastai.ImageBlock, fastai.MaskBlock(codes=CODES)), mask)
    learner = fastai.unet_learner(data, fastai.resnet18, pretrained=False, n_out=2)
    return Exported(train(learner), [raw_image(file) for file in pictures()], pictures(), predict)


def convolutional_masks(size: Any = 32, loss: Any = None) -> Exported:
    """Masks of three classes without names, by a small network."""
    return exported(
        fastai.MaskBlock,
        mask,
        lambda: nn.Sequential(fastai.ConvLayer(3, 8), fastai.ConvLayer(8, 8), nn.Conv2d(8, 3, 1)),
        loss=loss or fastai.FocalLossFlat(axis=1),
        item_tfms=fastai.Resize(size),
    )


class Counting(fastai.Callback):  # type: ignore[misc]
    """A callback that changes nothing."""

    def after_batch(self) -> None:
        self.batches = getattr(self, "batches", 0) + 1


def with_callback(callback: Any) -> Exported:
    made = one_class(lambda: network(2))
    made.learner.add_cb(callback)
    return made


SERVED = (
    Served("picture → one class", "ImageBlock, CategoryBlock; `vision_learner`", usual),
    Served(
        "grey picture → one class",
        "ImageBlock(PILImageBW), CategoryBlock",
        lambda: one_class(lambda: network(2, 1), image=fastai.ImageBlock(fastai.PILImageBW)),
    ),
    Served("picture → one class, trained with MixUp and label smoothing", "ImageBlock, CategoryBlock", mixed_up),
    Served("picture → one class, trained in half precision", "ImageBlock, CategoryBlock", half_precision),
    Served(
        "picture → one class, with a callback of your own",
        "ImageBlock, CategoryBlock; `Callback`",
        lambda: with_callback(Counting()),
        note="seen to change nothing when it is loaded",
    ),
    Served(
        "picture, opened and cropped by a getter → one class",
        "ImageBlock, CategoryBlock; `get_x` that returns pixels",
        lambda: one_class(lambda: network(2), get_x=cropped),
        note="each picture is written to a file for the learner's own steps",
    ),
    Served(
        "picture, opened by a step of your own → one class",
        "TransformBlock(type_tfms=[…]), CategoryBlock",
        lambda: one_class(lambda: network(2), image=fastai.TransformBlock(type_tfms=[array_of]), item_tfms=None),
        note="as the line above",
    ),
    Served(
        "picture, a kind of picture of your own → one class",
        "ImageBlock(MyImage), CategoryBlock",
        lambda: one_class(lambda: network(2), image=fastai.ImageBlock(Mirrored)),
        note="as the line above",
    ),
    Served(
        "pictures of many sizes → one class",
        "ImageBlock, CategoryBlock; no `Resize`",
        lambda: one_class(lambda: network(2), item_tfms=None, bs=1),
    ),
    Served(
        "picture → one class, statistics of the batch",
        "ImageBlock, CategoryBlock; `BatchNorm2d(track_running_stats=False)`",
        lambda: one_class(
            lambda: nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), *body(8), nn.Linear(8, 2)
            )
        ),
        note="each input is run alone, as its answer would depend on the others",
    ),
    Served(
        "picture → one class, a model with a class token",
        "ImageBlock, CategoryBlock",
        lambda: one_class(lambda: WithClassToken(2)),
    ),
    Served(
        "picture → one class, focal loss",
        "ImageBlock, CategoryBlock",
        lambda: one_class(lambda: network(2), loss=fastai.FocalLossFlat()),
    ),
    Served(
        "picture → one class, PyTorch's cross-entropy",
        "ImageBlock, CategoryBlock; `nn.CrossEntropyLoss()`",
        lambda: one_class(
            lambda: network(2),
            loss=nn.CrossEntropyLoss(),
            answer=by_definition_of(lambda raw: raw.softmax(0)),
        ),
        note="`learn.predict` returns raw outputs here; the answer is PyTorch's definition of that loss",
    ),
    Served(
        "picture → one class, PyTorch's negative log-likelihood",
        "ImageBlock, CategoryBlock; `nn.NLLLoss()`",
        lambda: one_class(
            lambda: nn.Sequential(network(2), nn.LogSoftmax(-1)),
            loss=nn.NLLLoss(),
            answer=by_definition_of(torch.exp),
        ),
        note="as the line above",
    ),
    Served(
        "picture → several classes",
        "ImageBlock, MultiCategoryBlock",
        lambda: exported(fastai.MultiCategoryBlock, letters, lambda: network(3)),
    ),
    Served(
        "picture → several classes, already encoded",
        "ImageBlock, MultiCategoryBlock(encoded=True)",
        lambda: exported(
            fastai.MultiCategoryBlock(encoded=True, vocab=["x", "y", "z"]),
            holds,
            lambda: network(3),
            loss=fastai.BCEWithLogitsLossFlat(thresh=0.4),
        ),
    ),
    Served(
        "picture → a number",
        "ImageBlock, RegressionBlock",
        lambda: exported(fastai.RegressionBlock, brightness, lambda: network(1)),
    ),
    Served(
        "picture → a number, PyTorch's binary cross-entropy",
        "ImageBlock, RegressionBlock; `nn.BCEWithLogitsLoss()`",
        lambda: exported(fastai.RegressionBlock(n_out=1), share, lambda: network(1), loss=nn.BCEWithLogitsLoss()),
        note="the number that the model returns, as `learn.predict` answers",
    ),
    Served(
        "picture → several numbers",
        "ImageBlock, RegressionBlock(n_out=3)",
        lambda: exported(fastai.RegressionBlock(n_out=3), three_numbers, lambda: network(3)),
    ),
    Served(
        "picture → points",
        "ImageBlock, PointBlock",
        lambda: scaled_points(32),
        note="in pixels of the resized picture, as `learn.predict` gives them",
    ),
    Served("picture, not square → points", "ImageBlock, PointBlock", lambda: scaled_points((24, 40))),
    Served(
        "picture → a target with a decoding of your own",
        "ImageBlock, TransformBlock(type_tfms=[…])",
        lambda: exported(
            fastai.TransformBlock(type_tfms=[LogPrice()]), brightness, lambda: network(1), loss=fastai.MSELossFlat()
        ),
    ),
    Served(
        "picture → mask",
        "ImageBlock, MaskBlock(codes=[…]); `unet_learner`",
        u_net,
        embedding="BatchNorm2d",
        note="a PNG of class indices; the embedding is what the encoder makes, averaged over its pixels",
    ),
    Served(
        "picture, not square → mask of classes without names",
        "ImageBlock, MaskBlock",
        lambda: convolutional_masks((24, 40)),
        embedding="Conv2d",
    ),
    Served(
        "picture → one class, cosine head",
        "ImageBlock, CategoryBlock",
        lambda: one_class(lambda: nn.Sequential(*body(), Cosine(8, 2))),
        embedding="Cosine",
    ),
    Served(
        "picture → one class, a head module of your own",
        "ImageBlock, CategoryBlock",
        lambda: one_class(lambda: WithHead(2)),
        embedding="Cosine",
    ),
    Served(
        "picture → one class, a head that is a function",
        "ImageBlock, CategoryBlock",
        lambda: one_class(lambda: FunctionalHead(2)),
        embedding="Flatten",
    ),
    Served(
        "picture → one class, convolutions only",
        "ImageBlock, CategoryBlock",
        lambda: one_class(
            lambda: nn.Sequential(
                fastai.ConvLayer(3, 8, stride=2), nn.Conv2d(8, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
            ),
        ),
        embedding="Conv2d",
    ),
)
