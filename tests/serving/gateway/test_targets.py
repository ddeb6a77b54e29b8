"""Answers that are neither a class nor a number reach every protocol, and are the same when they are asked for again."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from serving.engine.engine import Engine
from serving.learner.adapters.tabular import raw_row
from serving.learner.loading import load
from tests.learners import pictures, tables
from tests.learners.case import export
from tests.serving.conftest import Connect


def test_points_are_answered_in_pixels_by_every_protocol_and_again(connect: Connect, tmp_path: Path) -> None:
    made = pictures.scaled_points((24, 40))
    engine = Engine(load(export(made.learner, tmp_path)))
    expected = np.asarray(pictures.predict(engine.loaded.learner, made.items[0])[0], np.float64)
    assert expected.shape == (2, 2)
    client = connect(engine, None)
    content = made.raws[0].content
    first, again = (
        client.post(
            "/v1/predict", content=content, headers={"content-type": "image/png", "idempotency-key": "k"}
        ).json()
        for _ in range(2)
    )
    np.testing.assert_allclose(first["predictions"][0]["prediction"], expected, atol=1e-3)
    assert again["predictions"][0]["prediction"] == first["predictions"][0]["prediction"]
    name = client.get("/v1/models").json()["models"][0]["name"]
    outputs = {one["name"]: one for one in client.get(f"/v2/models/{name}").json()["outputs"]}
    assert outputs["prediction"] == {"name": "prediction", "datatype": "FP64", "shape": [-1, 2, 2]}
    pixels = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [_base64(content)]}
    (tensor,) = [
        one
        for one in client.post(f"/v2/models/{name}/infer", json={"inputs": [pixels]}).json()["outputs"]
        if one["name"] == "prediction"
    ]
    assert tensor["shape"] == [1, 2, 2]
    np.testing.assert_allclose(np.reshape(tensor["data"], (2, 2)), expected, atol=1e-3)
    assert client.post("/try", files={"file": ("a.png", content)}).status_code == 200


# Of fastai, which hands pandas the category it does not know.
@pytest.mark.filterwarnings("ignore:Constructing a Categorical")
def test_true_false_and_days_are_taken_as_json_and_as_text_of_a_form(connect: Connect, tmp_path: Path) -> None:
    dates = tables.dates()
    client = connect(Engine(load(export(dates.learner, tmp_path))), None)
    rows = [orjson.loads(raw.content) for raw in dates.raws[1:4]]
    row = next(row for row in rows if None not in row.values())
    assert isinstance(row["dayIs_month_start"], bool)
    (answer,) = client.post("/v1/predict", json={"rows": [row]}).json()["predictions"]
    assert "notes" not in answer
    page = client.post("/try", data={name: "" if value is None else str(value) for name, value in row.items()})
    assert page.status_code == 200
    assert "was not in training" not in page.text
    truths = [name for name, value in row.items() if isinstance(value, bool)]
    as_words = {name: str(value) if name in truths else value for name, value in row.items()}
    assert not client.post("/v1/predict", json={"rows": [as_words]}).json()["predictions"][0].get("notes")
    days = tables.one_class(cat_names=("colour", "day"))
    engine = Engine(load(export(days.learner, tmp_path)))
    row = orjson.loads(days.raws[1].content)
    for sent in (row["day"], row["day"][:10], row["day"].replace("T", " ")):
        assert not engine.adapter.decode(raw_row({**row, "day": sent})).notes
    (note,) = engine.adapter.decode(raw_row({**row, "day": "1999-01-01"})).notes
    assert "was not in training" in note


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()
