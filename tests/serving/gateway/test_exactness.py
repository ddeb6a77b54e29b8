"""The gateway answers what the learner answers."""

import random

import numpy as np
import pandas as pd
import pytest

from serving.engine.engine import Engine
from serving.learner.adapters.tabular import raw_row
from serving.learner.adapters.vision import raw_image
from serving.profiling.labelled_data import labelled_inputs, plain_rows
from tests.conftest import Trained


def test_pictures_get_the_probabilities_of_get_preds_in_any_batch(digits_engine: Engine, digits: Trained) -> None:
    files = sorted((digits.folder / "traffic").rglob("*.png"))[::10]
    learner = digits_engine.loaded.learner
    with learner.no_bar():
        expected = learner.get_preds(dl=learner.dls.test_dl(files, num_workers=0))[0].numpy()
    items = [digits_engine.adapter.decode(raw_image(file)) for file in files]
    np.testing.assert_allclose(np.asarray(digits_engine.run(items).probabilities), expected, atol=1e-4)
    order = random.Random(0).sample(range(len(items)), len(items))
    for start in range(0, len(order), 7):
        part = order[start : start + 7]
        outputs = digits_engine.run([items[place] for place in part])
        np.testing.assert_allclose(np.asarray(outputs.probabilities), expected[part], atol=1e-4)


def test_a_picture_is_predicted_as_learner_predict_does(digits_engine: Engine, digits: Trained) -> None:
    learner = digits_engine.loaded.learner
    for file in sorted((digits.folder / "traffic").rglob("*.png"))[::200]:
        with learner.no_bar():
            label, _, probabilities = learner.predict(file)
        outputs = digits_engine.predict([raw_image(file)])
        assert outputs.predictions == [label]
        assert outputs.probabilities is not None
        np.testing.assert_allclose(outputs.probabilities[0], probabilities.numpy(), atol=1e-4)


# fastai itself hands pandas the category it does not know.
@pytest.mark.filterwarnings("ignore:Constructing a Categorical")
def test_rows_get_the_probabilities_of_get_preds_missing_values_included(cells_engine: Engine, cells: Trained) -> None:
    table = pd.read_csv(cells.folder / "valid.csv").drop(columns="diagnosis")
    table.loc[3, "outline"] = "never seen"
    learner = cells_engine.loaded.learner
    with learner.no_bar():
        expected = learner.get_preds(dl=learner.dls.test_dl(table))[0].numpy()
    raws = [raw_row(row) for row in plain_rows(table)]
    outputs = cells_engine.predict(raws)
    np.testing.assert_allclose(np.asarray(outputs.probabilities), expected, atol=1e-4)
    singly = np.concatenate([cells_engine.predict([raw]).probabilities for raw in raws[:20]])
    np.testing.assert_allclose(singly, expected[:20], atol=1e-4)


@pytest.mark.parametrize("which", ["digits", "cells"])
def test_the_embedding_is_the_input_of_the_last_linear_layer(which: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(f"{which}_engine")
    trained: Trained = request.getfixturevalue(which)
    source = trained.folder / ("traffic" if which == "digits" else "valid.csv")
    inputs = [one.read() for one in labelled_inputs(source, engine.adapter)[:16]]
    outputs = engine.predict(inputs)
    assert engine.head is not None
    weights, bias = engine.head
    np.testing.assert_allclose(outputs.embedding @ weights.T + bias, outputs.logits, atol=1e-3)


def test_two_threads_never_mix_their_embeddings(digits_engine: Engine, digits: Trained) -> None:
    from concurrent.futures import ThreadPoolExecutor

    files = sorted((digits.folder / "traffic").rglob("*.png"))[:40]
    alone = [digits_engine.predict([raw_image(file)]).embedding[0] for file in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda file: digits_engine.predict([raw_image(file)]).embedding[0], files))
    np.testing.assert_allclose(together, alone, atol=1e-5)
