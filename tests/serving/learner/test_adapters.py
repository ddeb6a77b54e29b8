"""One set of checks for every adapter, and what each refuses."""

import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from serving.engine.engine import Engine
from serving.learner.adapters import ADAPTERS, Limits, adapter_of
from serving.learner.adapters.tabular import Tabular, raw_row
from serving.learner.adapters.vision import raw_image
from store.errors import BadInput, BadLearner
from store.recording.prediction_batch import RawInput
from tests.conftest import Trained


@pytest.mark.parametrize("which", ["digits_engine", "cells_engine"])
def test_every_adapter_takes_its_own_example(which: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(which)
    assert len(engine.predict([engine.adapter.examples()[0]])) == 1
    assert type(engine.adapter) in ADAPTERS


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = Image.linear_gradient("L")


@pytest.mark.parametrize(
    "content",
    [
        encoded(GREY, "PNG"),
        encoded(GREY.convert("RGB"), "JPEG"),
        encoded(GREY.convert("CMYK"), "JPEG"),
        encoded(GREY.convert("RGBA"), "PNG"),
        encoded(GREY.convert("1"), "PNG"),
        encoded(GREY.convert("I;16"), "PNG"),
        encoded(GREY.convert("P"), "GIF", save_all=True, append_images=[GREY.convert("P")]),
        encoded(GREY.resize((28, 28)), "BMP"),
        encoded(GREY.convert("RGB").resize((28, 28)), "WEBP"),
        encoded(GREY.convert("RGB"), "JPEG", exif=Image.Exif()),
    ],
    ids=["png", "jpeg", "cmyk", "alpha", "1 bit", "16 bit", "animated gif", "bmp", "webp", "exif"],
)
def test_pictures_of_every_kind_are_decoded_or_refused_but_never_break(digits_engine: Engine, content: bytes) -> None:
    try:
        outputs = digits_engine.predict([RawInput("image/png", content)])
    except BadInput:
        return
    assert outputs.probabilities is not None
    assert abs(outputs.probabilities.sum() - 1) < 1e-4


WHOLE = encoded(GREY.convert("RGB").resize((64, 64)), "JPEG")
PNG = encoded(GREY.resize((64, 64)), "PNG")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello, I am text", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (WHOLE[:-80], "damaged"),
        (PNG[:-30], "damaged"),
        (PNG[:45] + bytes([PNG[45] ^ 0xFF]) + PNG[46:], "damaged"),
        (WHOLE[:20], "not an image"),
    ],
    ids=["empty", "text", "svg", "truncated jpeg", "truncated png", "bad crc", "header only"],
)
def test_what_is_no_whole_picture_is_refused(digits_engine: Engine, content: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        digits_engine.adapter.decode(RawInput("image/png", content))


def test_a_picture_of_too_many_pixels_is_refused_from_its_header(digits_engine: Engine) -> None:
    # A hundred megapixels of one colour are a file of a few hundred kilobytes.
    bomb = encoded(Image.new("L", (10_000, 10_000)), "PNG")
    with pytest.raises(BadInput, match="megapixels") as refused:
        digits_engine.adapter.decode(RawInput("image/png", bomb))
    assert refused.value.status == 413


ROW = {
    "mean_radius": 14.0,
    "mean_texture": 19.0,
    "mean_smoothness": 0.1,
    "mean_concavity": 0.1,
    "worst_radius": 16.0,
    "worst_concavity": 0.3,
    "outline": "even",
}


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"mean_radius": ...}, "mean_radius", "lacks the column 'mean_radius'"),
        ({"mean_radius": "wide"}, "mean_radius", "takes a number"),
        ({"mean_radius": None}, "mean_radius", "never was in training"),
        ({"mean_radius": 1e308}, "mean_radius", "larger than"),
        ({"mean_radius": [1]}, "mean_radius", "takes a number"),
        ({"outline": {"a": 1}}, "outline", "takes one category"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_its_column(
    cells_engine: Engine, change: dict, field: str, said: str
) -> None:
    row = {name: value for name, value in {**ROW, **change}.items() if value is not ...}
    with pytest.raises(BadInput, match=said) as refused:
        cells_engine.adapter.decode(raw_row(row))
    assert refused.value.field == field


def test_columns_that_the_learner_does_not_use_are_ignored_alike_in_a_row_and_in_a_table(
    cells_engine: Engine, tmp_path: Path
) -> None:
    from serving.profiling.labelled_data import labelled_inputs

    row = {**ROW, "colour": "red", "Unnamed: 0": 3}
    decoded = cells_engine.adapter.decode(raw_row(row))
    assert decoded.content == cells_engine.adapter.decode(raw_row(ROW)).content
    assert decoded.notes == ("ignored the columns 'colour', 'Unnamed: 0', which the learner does not use",)
    assert isinstance(cells_engine.adapter, Tabular)
    table = pd.DataFrame([{**row, str(cells_engine.adapter.target): "benign"}])
    table.to_csv(tmp_path / "rows.csv", index=False)
    notes: list[str] = []
    (labelled,) = labelled_inputs(tmp_path / "rows.csv", cells_engine.adapter, notes.append)
    assert notes == [f"rows.csv: {decoded.notes[0]}."]
    assert cells_engine.adapter.decode(labelled.read()).content == decoded.content
    table.drop(columns="outline").to_csv(tmp_path / "rows.csv", index=False)
    without = {name: value for name, value in row.items() if name != "outline"}
    with pytest.raises(BadInput, match="The row lacks the column 'outline'"):
        cells_engine.adapter.decode(raw_row(without))
    with pytest.raises(BadInput, match="The table lacks the column 'outline'"):
        labelled_inputs(tmp_path / "rows.csv", cells_engine.adapter)


def test_a_row_must_be_an_object(cells_engine: Engine) -> None:
    with pytest.raises(BadInput, match="must be an object"):
        cells_engine.adapter.decode(RawInput("application/json", b"[1, 2]"))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({}, None),
        ({"outline": "square"}, "was not in training"),
        ({"outline": None}, "missing; the learner sees it as unknown"),
        ({"mean_texture": None}, "filled as in training"),
        ({"mean_texture": True}, "mean_texture: true is taken as 1"),
    ],
)
def test_what_the_learner_can_bear_is_taken_and_told(cells_engine: Engine, change: dict, note: str | None) -> None:
    item = cells_engine.adapter.decode(raw_row({**ROW, **change}))
    assert len(cells_engine.run([item])) == 1
    assert (note is None and not item.notes) or (note is not None and note in item.notes[0])


@pytest.mark.parametrize("source", ["data frame", "lists"])
def test_a_learner_whose_pipeline_begins_before_the_picture_takes_the_bytes_of_pictures(
    digits: Trained, tmp_path: Path, source: str
) -> None:
    """Steps turn a row or a pair into a path; a gateway has bytes, and enters the pipeline after them."""
    import numpy as np
    import pandas as pd
    from fastai.vision import all as fastai
    from torch import nn

    from serving.learner.loading import load

    files = sorted((digits.folder / "train").rglob("*.png"))[::60]
    labels = [file.parent.name for file in files]
    table = pd.DataFrame({"name": [str(file.relative_to(digits.folder)) for file in files], "label": labels})
    options = {"valid_pct": 0.2, "seed": 0, "bs": 8, "num_workers": 0}
    loaders = (
        fastai.ImageDataLoaders.from_df(table, path=digits.folder, **options)
        if source == "data frame"
        else fastai.ImageDataLoaders.from_lists(digits.folder, files, labels, **options)
    )
    items = table.iloc[:5] if source == "data frame" else list(zip(files, labels, strict=True))[:5]
    model = nn.Sequential(fastai.AdaptiveConcatPool2d(1), nn.Flatten(), nn.Linear(6, loaders.c))
    learner = fastai.Learner(loaders, model, path=tmp_path)
    learner.export("learner.pkl")
    engine = Engine(load(tmp_path / "learner.pkl"))
    loaded = engine.loaded.learner
    with loaded.no_bar():
        expected = loaded.get_preds(dl=loaded.dls.test_dl(items, num_workers=0))[0].numpy()
    found = engine.predict([raw_image(file) for file in files[:5]])
    np.testing.assert_allclose(np.asarray(found.probabilities), expected, atol=1e-4)


@pytest.mark.parametrize("target", ["one number", "several labels"])
def test_learners_that_predict_numbers_or_several_labels(digits: Trained, tmp_path: Path, target: str) -> None:
    from fastai.vision import all as fastai
    from torch import nn

    files = sorted((digits.folder / "train").rglob("*.png"))[::40]
    number = target == "one number"
    block = fastai.RegressionBlock() if number else fastai.MultiCategoryBlock()

    # Without annotations: fastai casts to what a getter says it returns.
    def label(file):
        digit = int(file.parent.name)
        return float(digit) if number else ["even", "small"][: digit % 3]

    data = fastai.DataBlock(blocks=(fastai.ImageBlock, block), get_y=label, splitter=fastai.RandomSplitter(seed=0))
    loaders = data.dataloaders(files, bs=8, num_workers=0)
    outputs = 1 if target == "one number" else loaders.c
    model = nn.Sequential(fastai.AdaptiveConcatPool2d(1), nn.Flatten(), nn.Linear(6, outputs))
    fastai.Learner(loaders, model, path=tmp_path).export("other.pkl")
    from serving.learner.loading import load

    engine = Engine(load(tmp_path / "other.pkl"))
    learner = engine.loaded.learner
    with learner.no_bar():
        expected = learner.get_preds(dl=learner.dls.test_dl(files[:6], num_workers=0))[0].numpy()
        labels = [learner.predict(file)[0] for file in files[:6]]
    found = engine.predict([raw_image(file) for file in files[:6]])
    if target == "one number":
        assert engine.task.name == "regression"
        assert found.predictions == pytest.approx(expected[:, 0].tolist(), abs=1e-4)
    else:
        assert engine.task.name == "multi_label"
        assert found.probabilities == pytest.approx(expected, abs=1e-4)
        assert found.predictions == [list(one) for one in labels]


def test_a_learner_of_no_served_application_is_refused_at_the_start() -> None:
    class Nothing:
        class dls:  # noqa: N801
            valid_ds = train_ds = (1, 2, 3)

    with pytest.raises(BadLearner, match="collab, tabular, text, vision"):
        adapter_of(Nothing(), Limits())
