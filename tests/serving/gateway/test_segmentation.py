"""Masks: answered as pictures, recorded as shares, profiled by what the encoder makes."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.engine.engine import Engine
from serving.engine.tuning import tune
from serving.learner.loading import load
from serving.profiling.labelled_data import labelled_inputs
from serving.profiling.profiler import make_reference
from store.store import Store
from tests.learners import pictures
from tests.learners.case import Exported, export
from tests.serving.conftest import Connect


@pytest.fixture(scope="module")
def made() -> Exported:
    return pictures.convolutional_masks()


@pytest.fixture(scope="module")
def engine(made: Exported, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(load(export(made.learner, tmp_path_factory.mktemp("masks"))))


def _pixels(prediction: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["mask"]))))


def test_a_mask_is_answered_recorded_as_shares_and_answered_again(
    engine: Engine, made: Exported, connect: Connect, sqlite_store: Store
) -> None:
    client = connect(engine, None)
    headers = {"content-type": "image/png", "idempotency-key": "k"}
    first, again = (
        client.post("/v1/predict", content=made.raws[0].content, headers=headers).json()["predictions"][0]
        for _ in range(2)
    )
    expected, probabilities = pictures.predict(engine.loaded.learner, made.items[0])
    expected = np.asarray(expected)
    prediction = first["prediction"]
    assert np.array_equal(_pixels(prediction), expected)
    assert (prediction["height"], prediction["width"]) == expected.shape
    shares = {str(index): round(float((expected == index).mean()), 4) for index in np.unique(expected)}
    assert prediction["shares"] == shares
    assert list(first["probabilities"]) == ["0", "1", "2"]
    np.testing.assert_allclose(list(first["probabilities"].values()), np.mean(probabilities, axis=(1, 2)), atol=1e-4)
    assert first["confidence"] == pytest.approx(np.max(probabilities, axis=0).mean(), abs=1e-4)
    assert again["prediction"] == prediction
    assert again["probabilities"] == pytest.approx(first["probabilities"], abs=1e-4)
    from uuid import UUID

    record = sqlite_store.predictions.get(UUID(first["id"]))
    assert record is not None
    assert "mask" not in record.prediction
    assert record.logits.shape == (3,)


def test_the_page_shows_the_mask_with_the_colour_of_each_class(
    engine: Engine, made: Exported, connect: Connect
) -> None:
    page = connect(engine, None).post("/try", files={"file": ("a.png", made.raws[0].content)})
    assert page.status_code == 200
    assert 'class="mask" src="data:image/png;base64,' in page.text
    assert page.text.count(";background:#") == 3


def test_a_mask_learner_is_profiled_scored_and_tuned(engine: Engine, made: Exported, tmp_path: Path) -> None:
    for file in pictures.pictures():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    inputs = labelled_inputs(tmp_path, engine.adapter)
    reference = make_reference(engine, inputs[:20], inputs[20:], rng=np.random.default_rng(0))
    assert not reference.uses_logits
    outputs = engine.predict([labelled.read() for labelled in inputs[:5]])
    assert np.isfinite(reference.score(outputs.embedding, outputs.logits).score).all()
    trials = {trial.backend: trial.refused for trial in tune(engine, thorough=False, seconds_each=0.001).trials}
    assert trials["eager"] is None
    assert trials["onnxruntime"] is None or "differ" in trials["onnxruntime"]
