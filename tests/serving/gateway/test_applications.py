"""Every application is answered as its learner answers: the same numbers, in any batch and order, by any backend."""

import random

import numpy as np
import orjson
import pytest

from serving.engine.backends import BACKENDS
from serving.engine.engine import Engine
from serving.engine.tuning import Tuning, tune, use
from serving.learner.loading import load
from tests.learners.applications import MAKERS, Case
from tests.serving.conftest import Connect

# fastai itself hands pandas the category it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:Constructing a Categorical", "ignore:.*weight_norm.*")

TOLERANCE = 1e-4


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in sorted(MAKERS)]
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if request.param == "texts":
        shared: Case = request.getfixturevalue("text_case")
        return shared
    return MAKERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def engine(case: Case) -> Engine:
    return Engine(load(case.export))


@pytest.fixture(scope="module")
def expected(engine: Engine, case: Case) -> tuple[np.ndarray, list]:
    """The learner's own outputs and decoded predictions."""
    learner = engine.loaded.learner
    with learner.no_bar():
        # One by one, as `learn.predict` does: for texts fastai's own answers vary with what else is in the batch.
        size = 1 if engine.adapter.application == "text" else 64
        found = learner.get_preds(dl=learner.dls.test_dl(case.items, num_workers=0, bs=size), with_decoded=True)
    outputs, decoded = found[0].numpy(), found[2]
    classes = engine.task.classes
    if engine.task.name == "single_label":
        return outputs, [classes[int(place)] for place in decoded]
    if engine.task.name == "multi_label":
        several: list = [[name for name, on in zip(classes, row, strict=True) if on] for row in decoded.numpy() > 0.5]
        return outputs, several
    return outputs.reshape(len(outputs), -1), []


def outputs_of(engine: Engine, raws: list) -> tuple[np.ndarray, list, np.ndarray]:
    found = engine.predict(raws)
    if found.probabilities is not None:
        return found.probabilities, found.predictions, found.embedding
    return np.array(found.predictions, np.float64).reshape(len(raws), -1), [], found.embedding


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(got, expected, atol=TOLERANCE * scale, rtol=0)


def test_in_any_batch_and_order_the_answers_are_those_of_get_preds(
    engine: Engine, case: Case, expected: tuple[np.ndarray, list]
) -> None:
    numbers, decoded = expected
    order = random.Random(0).sample(range(len(case.inputs)), len(case.inputs))
    start, sizes = 0, random.Random(1)
    while start < len(order):
        part = order[start : start + sizes.choice([1, 2, 7, 32])]
        got, predictions, _ = outputs_of(engine, [case.inputs[place] for place in part])
        assert_same(got, numbers[part])
        if decoded:
            assert predictions == [decoded[place] for place in part]
        start += len(part)


def test_the_embedding_is_one_finite_vector_for_each_input_and_does_not_depend_on_the_batch(
    engine: Engine, case: Case
) -> None:
    _, _, together = outputs_of(engine, case.inputs[:30])
    assert together.shape == (30, engine.dimension)
    assert np.isfinite(together).all()
    alone = np.concatenate([outputs_of(engine, [raw])[2] for raw in case.inputs[:30]])
    np.testing.assert_allclose(together, alone, atol=1e-4 * max(1.0, float(np.abs(alone).max())))


def test_every_quick_backend_is_exact_or_says_why_it_is_not_used(
    engine: Engine, case: Case, expected: tuple[np.ndarray, list]
) -> None:
    tuning = tune(engine, case.inputs[:4], thorough=False, seconds_each=0.01)
    assert {trial.backend for trial in tuning.trials} == {kind.name for kind in BACKENDS if kind.quick and kind.exact}
    assert tuning.chosen.refused is None
    own = engine.backend
    used = set()
    try:
        for trial in tuning.trials:
            if trial.refused is not None:
                assert engine.adapter.application in ("text", "collab") or "differ" in trial.refused, trial.refused
                continue
            use(engine, trial, case.inputs[:4])
            used.add(trial.backend)
            assert_same(outputs_of(engine, case.inputs[:100])[0], expected[0][:100])
    finally:
        engine.backend = own
    assert "eager" in used
    if engine.adapter.application in ("vision", "tabular"):
        assert used == {"eager", "onnxruntime", "openvino"}


def test_the_gateway_answers_and_its_page_lets_one_try(engine: Engine, case: Case, connect: Connect) -> None:
    client = connect(engine, None)
    raw = case.inputs[0]
    if engine.adapter.takes == "rows":
        answer = client.post("/v1/predict", json={"rows": [orjson.loads(one.content) for one in case.inputs[:3]]})
        tried = client.post("/try", data={k: "" if v is None else str(v) for k, v in orjson.loads(raw.content).items()})
    elif engine.adapter.takes == "texts":
        answer = client.post("/v1/predict", json={"texts": [one.content.decode() for one in case.inputs[:3]]})
        tried = client.post("/try", data={"text": raw.content.decode()})
    else:
        answer = client.post("/v1/predict", files=[("file", ("a", one.content)) for one in case.inputs[:3]])
        tried = client.post("/try", files={"file": ("a", raw.content)})
    assert answer.status_code == 200, answer.text
    expected = outputs_of(engine, case.inputs[:3])
    answered = answer.json()["predictions"]
    assert len(answered) == 3
    if engine.task.classes:
        assert_same(np.array([list(one["probabilities"].values()) for one in answered]), expected[0])
    else:
        assert_same(np.array([one["prediction"] for one in answered]).reshape(3, -1), expected[0])
    assert client.get("/try").status_code == 200
    assert tried.status_code == 200, tried.text


def test_a_tuning_is_used_again_for_the_same_learner_on_the_same_machine_only(engine: Engine, tmp_path) -> None:
    tuning = tune(engine, thorough=False, seconds_each=0.001)
    path = tmp_path / "kept.json"
    tuning.save(path)
    assert Tuning.load(path, engine.loaded.sha256) == tuning
    assert Tuning.load(path, "0" * 64) is None
    path.write_text(path.read_text().replace("cores", "more cores"))
    assert Tuning.load(path, engine.loaded.sha256) is None
    path.write_text("{")
    assert Tuning.load(path, engine.loaded.sha256) is None
