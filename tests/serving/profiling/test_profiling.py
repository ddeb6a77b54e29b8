"""From data to a reference: sources, the profiler, the notebook's way, parity_samples, and checks without a server."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from monitor.shift.table_columns import WORDS
from serving.engine.engine import Engine
from serving.gateway.compatibility import check_compatible, check_same_learner
from serving.gateway.parity import check_parity
from serving.learner.adapters.text import raw_text
from serving.learner.loading import load, sha256_of
from serving.profiling.labelled_data import LabelledInput, labelled_inputs
from serving.profiling.notebook import profile_learner
from serving.profiling.offline_check import check_inputs
from serving.profiling.profiler import make_reference
from store.errors import BadInput, ModelMismatch
from store.recording.prediction_batch import RawInput
from store.repositories.runs import Verdict
from tests.conftest import SEED, Trained
from tests.learners.applications import Case, numbers_of_rows, text_learner


def test_a_folder_of_class_folders(digits_engine: Engine, digits: Trained) -> None:
    found = labelled_inputs(digits.folder / "valid", digits_engine.adapter)
    assert len(found) == 1_000
    assert {one.label for one in found} == set("0123456789")
    assert found[0].read().media_type == "image/png"


def test_a_flat_folder_has_no_labels(digits_engine: Engine, digits: Trained) -> None:
    found = labelled_inputs(digits.folder / "valid" / "3", digits_engine.adapter)
    assert {one.label for one in found} == {None}


def test_a_table_that_names_files_and_labels(digits_engine: Engine, digits: Trained, tmp_path: Path) -> None:
    files = sorted((digits.folder / "valid").rglob("*.png"))[:3]
    for file in files:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = pd.DataFrame({"comment": ["a", "b", "c"], "image": [file.name for file in files], "label": [0, 1, 2]})
    table.to_csv(tmp_path / "files.csv", index=False)
    found = labelled_inputs(tmp_path / "files.csv", digits_engine.adapter)
    assert [one.label for one in found] == ["0", "1", "2"]
    assert found[1].read().content == files[1].read_bytes()


def test_a_table_of_rows_leaves_columns_that_are_no_inputs_out(cells_engine: Engine, cells: Trained) -> None:
    import orjson

    found = labelled_inputs(cells.folder / "valid.csv", cells_engine.adapter)
    assert {one.label for one in found} == {"benign", "malignant"}
    row = orjson.loads(found[0].read().content)
    assert "diagnosis" not in row
    assert "mean_radius" in row


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nowhere", "is not there"),
        (lambda folder: folder, "holds nothing"),
        (lambda folder: (folder / "a.csv").write_text("x,y\n1,2\n") and folder / "a.csv", "No column"),
        (lambda folder: (folder / "a.csv").write_bytes(b"\x00\xff\xfe") and folder / "a.csv", "CSV"),
    ],
)
def test_data_that_can_not_be_used_says_why(digits_engine: Engine, tmp_path: Path, make, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        labelled_inputs(make(tmp_path), digits_engine.adapter)


def test_a_table_without_the_learners_columns_names_them(cells_engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mean_radius\n1\n")
    with pytest.raises(BadInput, match="lacks the columns 'outline', 'mean_texture'"):
        labelled_inputs(tmp_path / "a.csv", cells_engine.adapter)


def test_the_reference_of_a_learner_says_what_it_is(digits: Trained) -> None:
    reference = Reference.load(digits.reference)
    assert reference.origin is not None
    assert reference.origin.learner_sha256 == sha256_of(digits.export)
    assert reference.origin.accuracy is not None
    assert reference.origin.accuracy > 0.8
    assert (reference.training_rows, reference.held_out_rows) == (3_000, 1_000)
    assert set(reference.scorers) == {"fdbd", "knn", "knn_raw", "knn_whitened"}
    assert len(reference.parity_samples) == 4
    assert reference.examples is not None
    assert len(reference.examples.pictures) == len(reference.examples.captions) == 1_000
    lines = dict(reference.summary())
    measured = "distance to the borders between classes and distance to the nearest training inputs"
    assert lines["embedding"].endswith(f" numbers, scored by {measured}")
    assert "about 1 in 107 in-domain inputs will be flagged" in lines["flagged from OOD score"]


def test_without_held_out_data_a_stratified_fifth_is_held_out_and_the_profile_warns(
    digits_engine: Engine, digits: Trained
) -> None:
    inputs = labelled_inputs(digits.folder / "valid", digits_engine.adapter)
    reference = make_reference(digits_engine, inputs, None, rng=np.random.default_rng(0))
    assert (reference.training_rows, reference.held_out_rows) == (800, 200)
    assert reference.held_out.labels is not None
    shares = np.bincount(reference.held_out.labels) / 150
    assert (abs(shares - 0.1) < 0.02).all()
    assert any("The network has seen them" in warning for warning in reference.warnings)


def test_all_that_is_wrong_with_held_out_rows_is_one_warning(digits_engine: Engine, digits: Trained) -> None:
    inputs = labelled_inputs(digits.folder / "valid", digits_engine.adapter)[::5]
    reference = make_reference(digits_engine, inputs, None, rng=np.random.default_rng(0))
    (warning,) = [warning for warning in reference.warnings if "held" in warning or "promise" in warning]
    assert "The network has seen them" in warning
    assert "no input can be flagged" in warning


def test_the_same_data_and_seed_give_the_same_reference(cells_engine: Engine, cells: Trained) -> None:
    from monitor.reference.profile_file import encode

    def without_its_time(reference: Reference) -> bytes:
        assert reference.origin is not None
        return encode(replace(reference, origin=replace(reference.origin, created_at="then")))

    parts = [labelled_inputs(cells.folder / f"{name}.csv", cells_engine.adapter) for name in ("train", "valid")]
    again = make_reference(cells_engine, parts[0], parts[1], rng=np.random.default_rng(SEED))
    assert without_its_time(again) == without_its_time(Reference.load(cells.reference))


def test_inputs_that_can_not_be_read_are_counted_and_the_first_named(digits_engine: Engine, digits: Trained) -> None:
    inputs = labelled_inputs(digits.folder / "valid", digits_engine.adapter)[::4]
    broken = LabelledInput("broken.png", "3", lambda: RawInput("image/png", b"broken"))
    reference = make_reference(digits_engine, [*inputs, broken], inputs, rng=np.random.default_rng(0))
    assert any("1 training inputs can't be read. The first, broken.png" in warning for warning in reference.warnings)
    with pytest.raises(BadInput, match="Not one of 1 inputs"):
        make_reference(digits_engine, [broken], inputs, rng=np.random.default_rng(0))


def test_labels_the_learner_does_not_know_are_told_and_left_aside(digits_engine: Engine, digits: Trained) -> None:
    inputs = [
        replace(one, label="seven") for one in labelled_inputs(digits.folder / "valid", digits_engine.adapter)[::5]
    ]
    reference = make_reference(digits_engine, inputs, inputs, rng=np.random.default_rng(0))
    assert any("'seven'" in warning for warning in reference.warnings)
    assert reference.origin is not None
    assert reference.origin.accuracy is None


def test_a_class_without_held_out_rows_is_named_with_what_is_not_compared(
    digits_engine: Engine, digits: Trained
) -> None:
    """Traffic of every class, as training was, raises nothing."""
    training = labelled_inputs(digits.folder / "train", digits_engine.adapter)[::3]
    held_out = [
        one for one in labelled_inputs(digits.folder / "valid", digits_engine.adapter) if one.label not in {"3", "7"}
    ]
    reference = make_reference(digits_engine, training, held_out, rng=np.random.default_rng(0))
    (warning,) = [warning for warning in reference.warnings if "Too few held-out rows" in warning]
    assert "'3' (0 held-out rows, 10." in warning
    assert "'7' (0 held-out rows" in warning
    assert "'3'" in dict(reference.summary())["not compared"]
    traffic = labelled_inputs(digits.folder / "traffic", digits_engine.adapter)[::2]
    checked = check_inputs(digits_engine, reference, traffic, MonitorSettings())
    assert checked.watched.run.verdict is Verdict.OK


def test_a_reference_of_a_regression_keeps_what_was_predicted_and_the_rows_it_was_made_of(tmp_path: Path) -> None:
    case = numbers_of_rows(tmp_path)
    engine = Engine(load(case.export))
    rows = [LabelledInput(f"row {place}", None, lambda raw=raw: raw) for place, raw in enumerate(case.inputs)]  # type: ignore[misc]
    made = make_reference(engine, rows[:500], rows[500:], rng=np.random.default_rng(0))
    reference = Reference.load(made.save(tmp_path / "a.reference"))
    assert reference.number_names == ("price",)
    assert reference.held_out.numbers is not None
    assert reference.held_out.numbers.shape == (len(reference.held_out), 1)
    predicted = np.array(engine.predict(case.inputs[500:]).predictions)
    assert set(reference.held_out.numbers[:, 0].round(2)) <= set(predicted.astype(np.float32).round(2))
    assert sorted(reference.categories["colour"]) == ["blue", "green", "red"]
    assert reference.examples is not None
    assert set(reference.examples.contents[0]) == {"colour", "size", "wet", "weight", "height", "age"}


def test_a_reference_of_another_learner_is_refused(digits_engine: Engine, cells: Trained) -> None:
    with pytest.raises(ModelMismatch, match="Make a reference of this learner"):
        check_same_learner(digits_engine, Reference.load(cells.reference))


def test_the_same_weights_exported_again_are_told_apart(digits_engine: Engine, digits: Trained) -> None:
    reference = Reference.load(digits.reference)
    assert reference.origin is not None
    again = replace(reference, origin=replace(reference.origin, learner_sha256="f" * 64))
    with pytest.raises(ModelMismatch, match="exported again"):
        check_same_learner(digits_engine, again)
    unexported = replace(reference, origin=replace(reference.origin, learner_sha256=None))
    check_same_learner(digits_engine, unexported)


def test_parity_holds_on_the_machine_that_profiled(digits_engine: Engine, digits: Trained) -> None:
    check_parity(digits_engine, Reference.load(digits.reference).parity_samples)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("decode", "decoding and item transforms"),
        ("batch", "batch transforms"),
        ("embedding", "up to the embedding"),
        ("logits", "after the embedding"),
    ],
)
def test_a_pipeline_that_differs_stops_with_the_first_step_that_does(
    digits_engine: Engine, digits: Trained, step: str, said: str
) -> None:
    kept = Reference.load(digits.reference).parity_samples[0]
    order = ["decode", "batch", "embedding", "logits", "outputs"]
    steps = dict(kept.steps)
    for later in order[order.index(step) :]:
        steps[later] = steps[later] + np.float32(5)
    with pytest.raises(ModelMismatch, match=said):
        check_parity(digits_engine, [replace(kept, steps=steps)])


def test_a_notebooks_learner_is_profiled_from_its_own_data(cells: Trained, tmp_path: Path) -> None:
    """The learner still has its rows; the reference is the one its export would get."""
    from fastai.tabular import all as fastai

    from examples.cells.train import CATEGORY, NUMBERS, TARGET
    from examples.cells.train import cells as table_of_cells

    table = table_of_cells()
    rows = fastai.TabularPandas(
        table,
        procs=[fastai.Categorify, fastai.FillMissing, fastai.Normalize],
        cat_names=[CATEGORY],
        cont_names=NUMBERS,
        y_names=TARGET,
        y_block=fastai.CategoryBlock(),
        splits=fastai.RandomSplitter(0.4, seed=1)(table),
    )
    learner = fastai.tabular_learner(rows.dataloaders(bs=64), layers=[16, 8])
    learner.path = tmp_path
    early = profile_learner(learner)
    assert early.origin is not None
    assert early.origin.learner_sha256 is None
    assert any("tied to the weights alone" in warning for warning in early.warnings)
    learner.export()
    reference = profile_learner(learner)
    assert reference.origin is not None
    assert reference.origin.learner_sha256 == sha256_of(tmp_path / "export.pkl")
    assert reference.training_rows == len(rows.train)
    from serving.learner.loading import load

    engine = Engine(load(tmp_path / "export.pkl"))
    check_same_learner(engine, reference)
    check_parity(engine, reference.parity_samples)
    # Rows the training set had gaps in are told as gaps again.
    assert any(row["mean_texture"] is None for row in reference.columns)


def test_a_notebooks_vision_learner_is_profiled_and_left_as_it_was(digits: Trained, tmp_path: Path) -> None:
    from fastai.vision import all as fastai
    from torch import nn

    data = fastai.DataBlock(
        blocks=(fastai.ImageBlock(fastai.PILImageBW), fastai.CategoryBlock),
        get_items=fastai.get_image_files,
        get_y=fastai.parent_label,
        splitter=fastai.RandomSplitter(0.3, seed=0),
        batch_tfms=fastai.aug_transforms(),
    )
    loaders = data.dataloaders(digits.folder / "valid", bs=64, num_workers=0)
    model = nn.Sequential(
        fastai.ConvLayer(1, 4, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, loaders.c)
    )
    learner = fastai.Learner(loaders, model, path=tmp_path)
    learner.export()
    learner.model.train()
    reference = profile_learner(learner)
    assert (reference.training_rows, reference.held_out_rows) == (700, 300)
    assert reference.held_out.labels is not None
    assert learner.model.training
    assert not [hook for module in learner.model.modules() for hook in module._forward_pre_hooks]


def test_a_learner_without_its_data_says_what_to_do(digits_engine: Engine) -> None:
    with pytest.raises(BadInput, match="leaves its data behind"):
        profile_learner(digits_engine.loaded.learner)


def test_data_like_the_training_data_is_told_to_be(digits_engine: Engine, digits: Trained) -> None:
    inputs = labelled_inputs(digits.folder / "traffic", digits_engine.adapter)[::3]
    checked = check_inputs(digits_engine, Reference.load(digits.reference), inputs, MonitorSettings())
    assert checked.watched.run.verdict is Verdict.OK


def test_data_from_another_source_is_told_to_be_with_its_strangest_inputs(
    digits_engine: Engine, digits: Trained, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for place in range(120):
        noise = Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8))
        noise.save(tmp_path / f"noise{place}.png")
    inputs = labelled_inputs(tmp_path, digits_engine.adapter)
    checked = check_inputs(digits_engine, Reference.load(digits.reference), inputs, MonitorSettings())
    assert checked.watched.run.verdict is Verdict.SHIFTED
    names = [name for name, _, _ in checked.strangest(3)]
    assert all(name.startswith("noise") for name in names)
    html = checked.report.html()
    assert "Production has shifted" in html
    assert names[0] in html


def test_texts_are_profiled_from_a_table_or_a_folder(text_case: Case, tmp_path: Path) -> None:
    engine = Engine(load(text_case.export))
    rng = np.random.default_rng(0)
    words = np.array(["good", "bad", "film", "night", "the", "of", "was", "it"])
    written = [" ".join(rng.choice(words, 12)) for _ in range(160)]
    table = pd.DataFrame(
        {"source": "web", "label": [str("good" in text) for text in written], "comment": written, "stars": 3}
    )
    table.to_csv(tmp_path / "texts.csv", index=False)
    found = labelled_inputs(tmp_path / "texts.csv", engine.adapter)
    assert [one.read().content.decode() for one in found] == written
    assert [one.label for one in found] == list(table["label"])
    for place, text in enumerate(written[:6]):
        folder = tmp_path / "folder" / str("good" in text)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place}.txt").write_text(text)
    from_folder = labelled_inputs(tmp_path / "folder", engine.adapter)
    assert {one.read().content.decode() for one in from_folder} == set(written[:6])
    assert all(one.label == str(b"good" in one.read().content) for one in from_folder)
    reference = make_reference(engine, found[:80], found[80:], rng=rng)
    strange = engine.run([engine.adapter.decode(raw_text(written[0]))])
    assert reference.score(strange.embedding, strange.logits).score.shape == (1,)
    assert {tuple(record.items()) for record in reference.columns} == {((WORDS, 12),)}
    assert reference.examples is not None
    assert {content["text"] for content in reference.examples.contents} == set(written[:80])
    longer = [
        LabelledInput(f"text {place}", None, lambda text=text: raw_text(f"{text} {text} {text}"))  # type: ignore[misc]
        for place, text in enumerate(written[40:])
    ]
    checked = check_inputs(engine, reference, longer, MonitorSettings())
    card = checked.report.document["sections"]["gallery"]["inputs"][0]
    assert card["row"]["text"] in {f"{text} {text} {text}"[:400] for text in written[40:]}
    assert card["example"]["content"]["text"] in written[:80]
    assert "nearest in training" in checked.report.html()
    assert checked.watched.run.verdict is Verdict.SHIFTED
    assert f"{WORDS}: median 12 → 36" in checked.watched.run.sentence


def test_texts_are_profiled_in_the_notebook_as_the_gateway_reads_them(tmp_path: Path) -> None:
    learner, written = text_learner()
    learner.path = tmp_path
    learner.export("export.pkl")
    reference = profile_learner(learner, tmp_path / "export.pkl")
    assert not any("weights alone" in warning for warning in reference.warnings)
    assert (reference.training_rows, reference.held_out_rows) == (len(learner.dls.train_ds), len(learner.dls.valid_ds))
    engine = Engine(load(tmp_path / "export.pkl"))
    check_compatible(engine, reference)
    # Each held-out row is what a gateway makes of one of the texts that were written.
    sent = engine.predict([raw_text(text) for text in written]).embedding
    gaps = np.abs(reference.held_out.embeddings[:, None] - sent[None]).max(axis=2).min(axis=1)
    assert gaps.max() < 2e-3
