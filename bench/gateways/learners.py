"""Three learners to serve, what a client sends them, and references for them. Hardly trained: speed does not depend on it."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from PIL import Image

from bench.sets.base import WORK
from serving.learner.torchvision_operators import declare_missing_operators

declare_missing_operators()


@dataclass(frozen=True)
class Served:
    """An exported learner with its reference, and the content of one request to it; `kind` is "vision" or "tabular"."""

    name: str
    export: Path
    kind: str
    content: bytes
    content_type: str

    @property
    def reference(self) -> Path:
        return self.export.with_suffix(".reference")


def resnet18() -> Served:
    """resnet18 at 224 pixels, with JPEGs of 640 × 480."""

    def train(folder: Path) -> None:
        from fastai.vision import all as fastai

        files = _photographs(folder, 200)
        data = fastai.ImageDataLoaders.from_lists(
            folder,
            files,
            ["ab"[index % 2] for index in range(len(files))],
            item_tfms=fastai.Resize(224),
            batch_tfms=fastai.Normalize.from_stats(*fastai.imagenet_stats),
            num_workers=0,
        )
        learner = fastai.vision_learner(data, fastai.resnet18, pretrained=False, normalize=False)
        learner.path = folder
        learner.export("resnet18.pkl")

    return _served("resnet18", train, lambda folder: (folder / "photographs" / "0000.jpg").read_bytes(), "image/jpeg")


def digits() -> Served:
    """The demo's convolutional network on digits of 28 pixels, as PNG files."""

    def train(folder: Path) -> None:
        from examples.digits import train

        train.write_pictures(folder / "pictures")
        train.train(folder / "pictures", folder / "digits.pkl", epochs=2)

    def content(folder: Path) -> bytes:
        return min((folder / "pictures" / "traffic").rglob("*.png")).read_bytes()

    return _served("digits", train, content, "image/png")


def tabular() -> Served:
    """A network over rows of eight categories and six numbers."""

    def train(folder: Path) -> None:
        from fastai.tabular import all as fastai

        table = _table(3_000)
        data = fastai.TabularDataLoaders.from_df(
            table,
            procs=[fastai.Categorify, fastai.FillMissing, fastai.Normalize],
            cat_names=[name for name in table if name.startswith("category")],
            cont_names=[name for name in table if name.startswith("number")],
            y_names="label",
            y_block=fastai.CategoryBlock(),
            bs=64,
        )
        learner = fastai.tabular_learner(data, layers=[200, 100])
        learner.path = folder
        learner.export("tabular.pkl")
        table.to_csv(folder / "rows.csv", index=False)

    def content(_folder: Path) -> bytes:
        row = _table(1).drop(columns="label").to_dict("records")[0]
        return orjson.dumps({"rows": [row]}, option=orjson.OPT_SERIALIZE_NUMPY)

    return _served("tabular", train, content, "application/json")


LEARNERS: dict[str, Callable[[], Served]] = {"resnet18": resnet18, "digits": digits, "tabular": tabular}


def _served(name: str, train: Callable[[Path], None], content: Callable[[Path], bytes], content_type: str) -> Served:
    folder = WORK / "served" / name
    export = folder / f"{name}.pkl"
    if not export.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train(folder)
    kind = "tabular" if content_type == "application/json" else "vision"
    served = Served(name, export, kind, content(folder), content_type)
    if not served.reference.exists():
        _profile(served, folder)
    return served


def _profile(served: Served, folder: Path) -> None:
    from serving.engine.engine import Engine
    from serving.learner.loading import load
    from serving.profiling.labelled_data import labelled_inputs
    from serving.profiling.profiler import make_reference

    engine = Engine(load(served.export))
    if served.name == "digits":
        parts = [labelled_inputs(folder / "pictures" / part, engine.adapter) for part in ("train", "valid")]
    else:
        inputs = labelled_inputs(folder / ("rows.csv" if served.kind == "tabular" else "photographs"), engine.adapter)
        parts = [inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]]
    make_reference(engine, parts[0], parts[1], rng=np.random.default_rng(0)).save(served.reference)


def _photographs(folder: Path, n: int) -> list[Path]:
    """JPEG files of noise at every scale, as in photographs, so that decoding costs as much."""
    rng = np.random.default_rng(0)
    (folder / "photographs").mkdir(exist_ok=True)
    files = []
    for index in range(n):
        picture = np.zeros((480, 640, 3))
        for size in (4, 16, 64, 256):
            coarse = Image.fromarray(rng.integers(0, 256, (size * 3 // 4, size, 3), dtype=np.uint8))
            picture += np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC), float) * 8 / size
        picture *= 255 / picture.max()
        buffer = io.BytesIO()
        Image.fromarray(picture.astype(np.uint8)).save(buffer, "JPEG", quality=88)
        file = folder / "photographs" / f"{index:04}.jpg"
        file.write_bytes(buffer.getvalue())
        files.append(file)
    return files


def _table(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {f"category{index}": [f"value {code}" for code in rng.integers(10, size=n)] for index in range(8)}
        | {f"number{index}": rng.normal(size=n) for index in range(6)}
    )
    table["label"] = np.where(table["number0"] > 0, "up", "down")
    return table
