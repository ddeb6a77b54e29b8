"""Exports one learner of each kind, with what `learn.predict` answers. Needs fastai and nothing else; runs on any Python.

    python tests/compatibility/other_pythons/make.py FOLDER [KIND...]

It is run as a script, so that its functions are those of `__main__`, as in a notebook.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

if __name__ == "__main__":
    try:
        # Beside a CPU build of torch; see docs/how-to/torchvision.md.
        from serving.learner.torchvision_operators import declare_missing_operators

        declare_missing_operators()
    except ImportError:
        pass

from fastai.tabular import all as tabular_fastai
from fastai.text import all as text_fastai
from fastai.vision import all as fastai
from torch import nn

MODULE = "def by_folder(file):\n    return file.parent.name\n"
# Where a picture is read back from, and what else is asked.
PICTURE, TEXT, ROW = "picture.png", "a good film", {"width": 0.5, "colour": "x"}


def get_label(file: Path) -> str:
    return file.parent.name


def upside_down(image: fastai.PILImage) -> fastai.PILImage:
    return fastai.PILImage.create(np.asarray(image)[::-1])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, pictures: Any) -> Any:
        return self.body(pictures)


def network(outputs: int = 2) -> nn.Sequential:
    return nn.Sequential(
        fastai.ConvLayer(3, 4, stride=2), fastai.AdaptiveAvgPool(1), nn.Flatten(), nn.Linear(4, outputs)
    )


def pictures(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for number in range(16):
        file = folder / "pictures" / "ab"[number % 2] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file)
        files.append(file)
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(folder / PICTURE)
    return files


def vision(folder: Path, get_y: Callable[[Path], str], steps: tuple[Any, ...] = (), model: Any = None) -> Any:
    block = fastai.DataBlock(
        (fastai.ImageBlock, fastai.CategoryBlock),
        get_y=get_y,
        splitter=fastai.RandomSplitter(seed=0),
        item_tfms=[fastai.Resize(8), *steps],
        batch_tfms=[*fastai.aug_transforms(size=8), fastai.Normalize.from_stats(*fastai.imagenet_stats)],
    )
    loaders = block.dataloaders(pictures(folder), bs=4, num_workers=0)
    return fastai.Learner(loaders, model or network(), path=folder, metrics=fastai.accuracy)


def folders(folder: Path) -> Any:
    """Pictures, labels from folder names."""
    return vision(folder, fastai.parent_label)


def regular_expression(folder: Path) -> Any:
    """Pictures, labels by a regular expression."""
    loaders = fastai.ImageDataLoaders.from_name_re(
        folder, pictures(folder), r"^\d(\d)", valid_pct=0.25, seed=0, item_tfms=fastai.Resize(8), bs=4, num_workers=0
    )
    return fastai.Learner(loaders, network(loaders.c), path=folder)


def lambda_labels(folder: Path) -> Any:
    """Pictures, labels by a lambda."""
    return vision(folder, lambda file: file.parent.name)


def notebook_labels(folder: Path) -> Any:
    """Pictures, labels by a function of the notebook."""
    return vision(folder, get_label)


def module_labels(folder: Path) -> Any:
    """Pictures, labels by a function in a module."""
    (folder / "labels.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    import labels  # type: ignore[import-not-found]

    return vision(folder, labels.by_folder)


def notebook_transform(folder: Path) -> Any:
    """Pictures, a transform that the notebook defines."""
    return vision(folder, fastai.parent_label, (upside_down,))


def notebook_model(folder: Path) -> Any:
    """Pictures, a model that the notebook defines."""
    return vision(folder, fastai.parent_label, model=Net())


def tables(folder: Path) -> Any:
    """Tables."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"width": rng.normal(size=40), "colour": rng.choice(list("xyz"), 40)})
    table["size"] = np.where(table["width"] > 0, "large", "small")
    loaders = tabular_fastai.TabularDataLoaders.from_df(
        table,
        path=folder,
        procs=[tabular_fastai.Categorify, tabular_fastai.FillMissing, tabular_fastai.Normalize],
        cat_names=["colour"],
        cont_names=["width"],
        y_names="size",
        bs=8,
    )
    return tabular_fastai.tabular_learner(loaders, layers=[4])


def texts(folder: Path) -> Any:
    """Texts."""
    table = pd.DataFrame({"text": ["a good film", "a bad film"] * 10, "label": ["good", "bad"] * 10})
    loaders = text_fastai.TextDataLoaders.from_df(
        table, path=folder, text_col="text", label_col="label", bs=4, seq_len=8, num_workers=0
    )
    sizes = {**text_fastai.awd_lstm_clas_config, "emb_sz": 4, "n_hid": 4, "n_layers": 1}
    return text_fastai.text_classifier_learner(
        loaders, text_fastai.AWD_LSTM, config=sizes, pretrained=False, path=folder
    )


KINDS: dict[str, Callable[[Path], Any]] = {
    kind.__name__: kind
    for kind in (
        *(folders, regular_expression, lambda_labels, notebook_labels, module_labels),
        *(notebook_transform, notebook_model, tables, texts),
    )
}


def asked(kind: str, folder: Path) -> Any:
    """What is predicted to compare answers."""
    return {"tables": pd.Series(ROW), "texts": TEXT}.get(kind, folder / PICTURE)


def make(folder: Path, kinds: list[str]) -> None:
    answers = {}
    for kind in kinds:
        fastai.set_seed(0)
        learner = KINDS[kind](folder)
        with learner.no_bar(), learner.no_logging():
            probabilities = learner.predict(asked(kind, folder))[2]
        learner.export(f"{kind}.pkl")
        answers[kind] = [float(value) for value in probabilities]
    (folder / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    make(target, sys.argv[2:] or list(KINDS))
