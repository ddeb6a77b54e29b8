"""A learner small enough to be trained in a second, for tests of programs that ask a gateway."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from serving.learner.torchvision_operators import declare_missing_operators

ROWS = 600
COLOURS = ("blue", "green", "red")


def train_tiny_learner(folder: Path) -> tuple[Any, Path]:
    """A tabular learner of two classes with its data, and the file in `folder` that it was exported to.

    Its rows have two numbers, `width` and `height`, of mean 0 and deviation 1, and a `colour` that means nothing; the class
    is `large` where `width + height > 0`, and `small` elsewhere.
    """
    declare_missing_operators()
    from fastai.tabular import all as fastai

    rng = np.random.default_rng(0)
    width, height = rng.normal(size=(2, ROWS))
    table = pd.DataFrame({"width": width, "height": height, "colour": rng.choice(COLOURS, ROWS)})
    table["size"] = np.where(table["width"] + table["height"] > 0, "large", "small")
    half = ROWS // 2
    rows = fastai.TabularPandas(
        table,
        procs=[fastai.Categorify, fastai.FillMissing, fastai.Normalize],
        cat_names=["colour"],
        cont_names=["width", "height"],
        y_names="size",
        y_block=fastai.CategoryBlock(),
        splits=(list(range(half)), list(range(half, ROWS))),
    )
    learner = fastai.tabular_learner(rows.dataloaders(bs=50), layers=[16, 8], path=str(folder))
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(8, 1e-2)
    export = folder / "tiny.pkl"
    learner.export(export.name)
    return learner, export
