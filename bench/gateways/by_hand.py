"""A learner's pipeline written by hand, as a careful engineer does for a batching server: decode, collate, run."""

import io
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from serving.learner.torchvision_operators import declare_missing_operators  # noqa: E402


class ByHand:
    """One learner's pipeline, in eager mode on one thread."""

    def __init__(self, export: str, name: str) -> None:
        declare_missing_operators()
        from fastai.learner import load_learner

        torch.set_num_threads(1)
        self.learner = load_learner(export)
        self.model = self.learner.model.eval()
        self.name = name
        self.vocabulary = [str(entry) for entry in self.learner.dls.vocab]
        if name == "tabular":
            procs = self.learner.dls.train_ds.procs
            self.codes = [
                {value: code for code, value in enumerate(procs.categorify.classes[column])}
                for column in self.learner.dls.cat_names
            ]
            self.means = np.array(list(procs.normalize.means.values()))
            self.stds = np.array(list(procs.normalize.stds.values()))

    def decode(self, content: bytes) -> torch.Tensor:
        image = Image.open(io.BytesIO(content))
        if self.name == "digits":
            return (torch.from_numpy(np.asarray(image.convert("L"), np.float32))[None] / 255 - 0.13) / 0.31
        image = image.convert("RGB")
        width, height = image.size
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        image = image.crop((left, top, left + short, top + short)).resize((224, 224), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1) / 255
        return (pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
            :, None, None
        ]

    def row(self, row: dict) -> tuple[list[int], list[float]]:
        columns = self.learner.dls
        categories = [codes.get(row[name], 0) for codes, name in zip(self.codes, columns.cat_names, strict=True)]
        return categories, [row[name] for name in columns.cont_names]

    def run(self, items: list) -> list[dict]:
        with torch.inference_mode():
            if self.name == "tabular":
                numbers = (np.array([item[1] for item in items]) - self.means) / self.stds
                categories = torch.tensor([item[0] for item in items])
                logits = self.model(categories, torch.from_numpy(numbers.astype(np.float32)))
            else:
                logits = self.model(torch.stack(items))
            probabilities = logits.softmax(1)
        best = probabilities.argmax(1).tolist()
        return [
            {"prediction": self.vocabulary[class_index], "probabilities": row}
            for class_index, row in zip(best, probabilities.tolist(), strict=True)
        ]
