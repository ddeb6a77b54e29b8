"""Learners of every application, hardly trained: whether answers are exact does not depend on how good they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from serving.learner.adapters.tabular import raw_row
from serving.learner.adapters.text import raw_text
from serving.learner.adapters.vision import raw_image
from serving.profiling.labelled_data import plain_rows
from store.recording.prediction_batch import RawInput
from tests.learners.case import export
from tests.learners.pictures import letter, letters, number_of
from tests.learners.texts import loaders


@dataclass(frozen=True)
class Case:
    """An exported learner, what the gateway is sent, and the same as `learn.dls.test_dl` takes it."""

    export: Path
    inputs: list[RawInput]
    items: Any


N = 1_000


def _pictures(folder: Path, n: int) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for place in range(n):
        height, width = rng.integers(20, 60, 2)
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC)
        file = folder / f"{'ab'[place % 2]}_{place:04}.{'jpg' if place % 3 else 'png'}"
        picture.save(file)
        files.append(file)
    return files


def _small_network(outputs: int) -> Any:
    from fastai.vision import all as fastai
    from torch import nn

    return nn.Sequential(
        fastai.ConvLayer(3, 16, stride=2),
        fastai.ConvLayer(16, 32, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 24),
        nn.ReLU(),
        nn.Linear(24, outputs),
    )


def _brightness(file: Path) -> float:
    return number_of(file) / N


def _vision(folder: Path, target: Any, get_y: Callable[[Path], Any], outputs: int, **options: Any) -> Case:
    from fastai.vision import all as fastai

    files = _pictures(folder, N)
    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, target),
        get_items=lambda _source: files,
        splitter=fastai.RandomSplitter(seed=0),
        get_y=get_y,
        **options,
    )
    block.get_items = None
    data = block.dataloaders(files, bs=64, num_workers=0)
    learner = fastai.Learner(data, _small_network(outputs))
    _train(learner)
    return Case(export(learner, folder), [raw_image(file) for file in files], files)


def _train(learner: Any) -> None:
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 1e-2)


def one_class(folder: Path) -> Case:
    """Pictures of any size, resized and augmented as the tutorials do."""
    from fastai.vision import all as fastai

    return _vision(
        folder,
        fastai.CategoryBlock,
        letter,
        2,
        item_tfms=fastai.Resize(32),
        batch_tfms=[*fastai.aug_transforms(), fastai.Normalize.from_stats(*fastai.imagenet_stats)],
    )


def several_classes(folder: Path) -> Case:
    """Squished pictures with any number of labels."""
    from fastai.vision import all as fastai

    squished = fastai.Resize(32, fastai.ResizeMethod.Squish)
    return _vision(folder, fastai.MultiCategoryBlock, letters, 3, item_tfms=squished)


def numbers_of_pictures(folder: Path) -> Case:
    """A number for each picture, padded, with transforms that Tidegate has never seen."""
    from fastai.vision import all as fastai

    padded = fastai.Resize(32, fastai.ResizeMethod.Pad, pad_mode="zeros")
    return _vision(folder, fastai.RegressionBlock, _brightness, 1, item_tfms=[padded, Upside()], batch_tfms=[Squared()])


def _upside(image: Any) -> Any:
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def Upside() -> Any:  # noqa: N802 - it stands where a transform's class would
    """A custom transform of items."""
    from fastai.vision.all import PILImage, Transform

    def upside(image: PILImage) -> Any:
        return PILImage(_upside(image))

    globals()["upside"] = upside
    upside.__qualname__ = "upside"
    return Transform(upside)


def Squared() -> Any:  # noqa: N802
    """A custom transform of batches."""
    from fastai.vision.all import TensorImage, Transform

    def squared(batch: TensorImage) -> Any:
        return batch**2

    globals()["squared"] = squared
    squared.__qualname__ = "squared"
    return Transform(squared, order=50)


def _table(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "colour": rng.choice(["red", "green", "blue"], n),
            "size": rng.integers(1, 5, n),
            "wet": rng.choice([True, False], n),
            "weight": rng.normal(70, 15, n),
            "height": rng.normal(1.7, 0.1, n),
            "age": rng.integers(1, 99, n).astype(float),
        }
    )
    table.loc[rng.random(n) < 0.1, "weight"] = np.nan
    table.loc[rng.random(n) < 0.05, "colour"] = None
    table["kind"] = np.where(table["age"] > 50, "old", "new")
    table["price"] = table["age"] * 3 + table["size"]
    return table


def _tabular(folder: Path, target: str, procs: list[Any], y_block: Any, **options: Any) -> Case:
    from fastai.tabular import all as fastai

    table = _table(N)
    data = fastai.TabularDataLoaders.from_df(
        table,
        procs=procs,
        cat_names=["colour", "size", "wet"],
        cont_names=["weight", "height", "age"],
        y_names=target,
        y_block=y_block,
        valid_idx=list(range(0, N, 5)),
        bs=64,
    )
    learner = fastai.tabular_learner(data, layers=[32, 16], **options)
    _train(learner)
    fresh = table.drop(columns=["kind", "price"])
    fresh.loc[3, "colour"] = "never seen"
    return Case(export(learner, folder), [raw_row(row) for row in plain_rows(fresh)], fresh)


def rows(folder: Path) -> Case:
    """Rows with categories, gaps and numbers."""
    from fastai.tabular import all as fastai

    return _tabular(folder, "kind", [fastai.Categorify, fastai.FillMissing, fastai.Normalize], fastai.CategoryBlock())


def numbers_of_rows(folder: Path) -> Case:
    """A number for each row; procs in another order, gaps filled without a column that says so."""
    from fastai.tabular import all as fastai

    procs = [fastai.FillMissing(add_col=False), fastai.Normalize, fastai.Categorify]
    return _tabular(folder, "price", procs, fastai.RegressionBlock(), y_range=(0.0, 400.0))


def texts(folder: Path) -> Case:
    """Texts of every length, by a recurrent network."""
    learner, written = text_learner()
    again = [written[place % 400] + (" again" * (place // 400)) for place in range(N)]
    return Case(export(learner, folder), [raw_text(text) for text in again], again)


def text_learner() -> tuple[Any, list[str]]:
    """A learner over texts with its data, and all of its texts."""
    from fastai.text import all as fastai

    rng = np.random.default_rng(2)
    words = np.array(["the", "film", "was", "good", "bad", "long,", "short;", "and", "Dark!", "plot", "again."])
    lengths = rng.integers(1, 200, 400)
    written = [" ".join(rng.choice(words, length)) for length in lengths]
    table = pd.DataFrame({"text": written, "label": [str("good" in text) for text in written]})
    data = loaders(fastai.CategoryBlock, fastai.ColReader("label"), table)
    config = fastai.awd_lstm_clas_config | {"n_hid": 40, "n_layers": 2, "emb_sz": 24}
    learner = fastai.text_classifier_learner(data, fastai.AWD_LSTM, config=config, pretrained=False, metrics=[])
    _train(learner)
    return learner, written


def _ratings() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "user": rng.integers(1, 60, N),
            "title": [f"film {number}" for number in rng.integers(1, 80, N)],
            "rating": rng.integers(1, 6, N).astype(float),
        }
    )


def _collab(folder: Path, **options: Any) -> Case:
    from fastai.collab import CollabDataLoaders, collab_learner

    ratings = _ratings()
    data = CollabDataLoaders.from_df(ratings, user_name="user", item_name="title", rating_name="rating", seed=0, bs=64)
    learner = collab_learner(data, n_factors=16, y_range=(0, 5.5), **options)
    _train(learner)
    fresh = ratings.drop(columns="rating")
    return Case(export(learner, folder), [raw_row(row) for row in plain_rows(fresh)], fresh)


def ratings_by_factors(folder: Path) -> Case:
    """fastai's default for ratings: a product of factors."""
    return _collab(folder)


def ratings_by_network(folder: Path) -> Case:
    """Ratings by a network over embeddings."""
    return _collab(folder, use_nn=True, layers=[20, 10])


MAKERS: dict[str, Callable[[Path], Case]] = {
    maker.__name__: maker
    for maker in (
        one_class,
        several_classes,
        numbers_of_pictures,
        rows,
        numbers_of_rows,
        texts,
        ratings_by_factors,
        ratings_by_network,
    )
}
