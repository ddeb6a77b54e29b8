"""Trains a small fastai vision learner on handwritten digits and exports it."""

import sys
import time
from pathlib import Path

from examples.digits.pictures import handwritten_digits
from serving.learner.torchvision_operators import declare_missing_operators

EPOCHS = 10
SPLITS = {"train": (0, 1, 2), "valid": (3,), "traffic": (4,)}


def write_pictures(folder: Path) -> None:
    """Write the digits as PNG files: three fifths to train, one to hold out, one to play as traffic."""
    pictures, labels = handwritten_digits()
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        split = next(name for name, fifths in SPLITS.items() if index % 5 in fifths)
        target = folder / split / label
        target.mkdir(parents=True, exist_ok=True)
        picture.save(target / f"{index:04d}.png")


def train(folder: Path, export: Path, epochs: int = EPOCHS) -> float:
    """Train on `folder/train`, validate on `folder/valid`, export, and return the accuracy on held-out rows."""
    declare_missing_operators()
    from fastai.vision import all as fastai
    from torch import nn

    fastai.set_seed(7, reproducible=True)
    data = fastai.DataBlock(
        blocks=(fastai.ImageBlock(fastai.PILImageBW), fastai.CategoryBlock),
        get_items=fastai.get_image_files,
        splitter=fastai.GrandparentSplitter(train_name="train", valid_name="valid"),
        get_y=fastai.parent_label,
        batch_tfms=[
            *fastai.aug_transforms(do_flip=False, max_rotate=12, max_zoom=1.1, max_warp=0.1, p_affine=0.6),
            fastai.Normalize.from_stats([0.13], [0.31]),
        ],
    )
    loaders = data.dataloaders(folder, bs=64, num_workers=0)
    model = nn.Sequential(
        fastai.ConvLayer(1, 32),
        fastai.ConvLayer(32, 32, stride=2),
        fastai.ConvLayer(32, 64),
        fastai.ConvLayer(64, 64, stride=2),
        fastai.ConvLayer(64, 128, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, len(loaders.vocab)),
    )

    class Lines(fastai.Callback):
        """Prints one line an epoch, with the time left."""

        order = fastai.Recorder.order + 1

        def before_fit(self) -> None:
            self.began = time.time()

        def after_epoch(self) -> None:
            epochs = self.epoch + 1
            seconds = (time.time() - self.began) / epochs * (self.n_epoch - epochs)
            accuracy = self.recorder.values[-1][-1]
            print(
                f"  epoch {epochs}/{self.n_epoch}: accuracy {accuracy:.1%} on held-out digits, {seconds:.0f} s left",
                flush=True,
            )

    learner = fastai.Learner(loaders, model, metrics=fastai.accuracy, path=export.parent, cbs=Lines())
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, 5e-3)
    accuracy = float(learner.recorder.values[-1][-1])
    # The export must load where this file is not.
    learner.remove_cbs([callback for callback in learner.cbs if isinstance(callback, Lines)])
    learner.export(export.name)
    return accuracy


if __name__ == "__main__":
    work = Path(sys.argv[1])
    write_pictures(work / "pictures")
    print(f"accuracy {train(work / 'pictures', work / 'digits.pkl'):.1%}")
