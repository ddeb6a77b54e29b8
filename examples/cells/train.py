"""Trains a small fastai tabular learner on measurements of cell nuclei (scikit-learn's breast cancer set; Street 1993).

python -m examples.cells.train cells/
tidegate profile cells/cells.pkl --data cells/train.csv --valid cells/valid.csv
tidegate serve cells/cells.pkl
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from serving.learner.torchvision_operators import declare_missing_operators

NUMBERS = ["mean_radius", "mean_texture", "mean_smoothness", "mean_concavity", "worst_radius", "worst_concavity"]
CATEGORY, TARGET = "outline", "diagnosis"
EPOCHS = 12


def cells() -> pd.DataFrame:
    """The table: six measurements, the outline as a category, and the diagnosis; some textures were not measured."""
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer(as_frame=True)
    table = loaded.frame.rename(columns=lambda name: name.replace(" ", "_"))
    table[CATEGORY] = pd.cut(table["mean_symmetry"], [0, 0.165, 0.19, 1], labels=["even", "uneven", "ragged"]).astype(
        str
    )
    table[TARGET] = np.where(table["target"] == 0, "malignant", "benign")
    table.loc[table.index % 17 == 3, "mean_texture"] = np.nan
    return table[[*NUMBERS, CATEGORY, TARGET]]


def train(folder: Path, epochs: int = EPOCHS) -> float:
    """Write `train.csv`, `valid.csv` and `cells.pkl` to a folder, and return the accuracy on held-out rows."""
    declare_missing_operators()
    from fastai.tabular import all as fastai

    folder.mkdir(parents=True, exist_ok=True)
    fastai.set_seed(3, reproducible=True)
    table = cells()
    held_out = table.index % 5 < 2
    for name, part in (("train", table[~held_out]), ("valid", table[held_out])):
        part.to_csv(folder / f"{name}.csv", index=False)
    rows = fastai.TabularPandas(
        table,
        procs=[fastai.Categorify, fastai.FillMissing, fastai.Normalize],
        cat_names=[CATEGORY],
        cont_names=NUMBERS,
        y_names=TARGET,
        y_block=fastai.CategoryBlock(),
        splits=(list(np.flatnonzero(~held_out)), list(np.flatnonzero(held_out))),
    )
    learner = fastai.tabular_learner(rows.dataloaders(bs=32), layers=[64, 32], metrics=fastai.accuracy)
    learner.path = folder
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, 1e-2)
    learner.export("cells.pkl")
    return float(learner.recorder.values[-1][-1])


if __name__ == "__main__":
    print(f"accuracy {train(Path(sys.argv[1])):.1%} on held-out rows")
