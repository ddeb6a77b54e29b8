"""POST /v1/predict: what is answered, what is recorded, and what is refused."""

import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from serving.engine.engine import Engine
from store.store import Store
from tests.conftest import Trained
from tests.serving.conftest import Connect
from tests.serving.learner.test_adapters import ROW


def pictures(digits: Trained, number: int) -> list[bytes]:
    return [file.read_bytes() for file in sorted((digits.folder / "traffic").rglob("*.png"))[::30][:number]]


def files(contents: list[bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("file", (f"{place}.png", content, "image/png")) for place, content in enumerate(contents)]


def test_one_picture_as_raw_bytes(digits_client: TestClient, digits: Trained, sqlite_store: Store) -> None:
    (content,) = pictures(digits, 1)
    answer = digits_client.post("/v1/predict", content=content, headers={"content-type": "image/png"})
    assert answer.status_code == 200
    body = answer.json()
    (one,) = body["predictions"]
    assert one["prediction"] == max(one["probabilities"], key=one["probabilities"].get)
    assert one["confidence"] == pytest.approx(max(one["probabilities"].values()))
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert set(one["ood"]) == {"score", "p_value", "flagged", "nearest"}
    (model,) = sqlite_store.models.all()
    assert body["model"] == model.sha256


def test_many_pictures_are_answered_in_order_and_recorded_as_answered(
    digits_client: TestClient, digits: Trained, digits_engine: Engine, sqlite_store: Store
) -> None:
    contents = pictures(digits, 20)
    answer = digits_client.post("/v1/predict", files=files(contents), data={"tags": '{"site": "berlin"}'})
    predictions = answer.json()["predictions"]
    from uuid import UUID

    from serving.learner.adapters.vision import raw_image

    expected = digits_engine.predict([raw_image(content) for content in contents])
    assert [one["prediction"] for one in predictions] == expected.predictions
    for row, one in enumerate(predictions):
        kept = sqlite_store.predictions.get(UUID(one["id"]))
        assert kept is not None
        assert kept.prediction == one["prediction"]
        assert kept.confidence == one["confidence"]
        assert (kept.ood_score, kept.ood_p_value, kept.flagged) == tuple(
            one["ood"][name] for name in ("score", "p_value", "flagged")
        )
        assert kept.tags == {"site": "berlin"}
        assert kept.latency_seconds > 0
        assert kept.raw_input is not None
        assert kept.raw_input.content == contents[row]
        np.testing.assert_allclose(kept.embedding, expected.embedding[row], rtol=2e-3, atol=1e-3)


def test_rows_of_a_table(cells_client: TestClient, sqlite_store: Store) -> None:
    rows = [ROW, {**ROW, "outline": "square"}, {**ROW, "mean_texture": None}]
    answer = cells_client.post("/v1/predict", json={"rows": rows, "tags": {"ward": 3}})
    assert answer.status_code == 200
    first, second, third = answer.json()["predictions"]
    assert first["prediction"] in ("benign", "malignant")
    assert "notes" not in first
    assert "was not in training" in second["notes"][0]
    assert "filled" in third["notes"][0]
    assert sqlite_store.predictions.count() == 3


def test_a_bad_picture_among_good_ones_fails_alone_and_in_its_place(
    digits_client: TestClient, digits: Trained, sqlite_store: Store
) -> None:
    contents = pictures(digits, 31)
    contents.insert(7, b"not a picture")
    answer = digits_client.post("/v1/predict", files=files(contents))
    assert answer.status_code == 200
    predictions = answer.json()["predictions"]
    assert len(predictions) == 32
    assert predictions[7]["problem"]["field"] == "file[7]"
    assert predictions[7]["problem"]["status"] == 422
    assert sum("id" in one for one in predictions) == sqlite_store.predictions.count() == 31


def test_a_bad_row_is_named_by_its_place_and_column(cells_client: TestClient) -> None:
    answer = cells_client.post("/v1/predict", json={"rows": [ROW, {**ROW, "mean_radius": "wide"}]})
    assert answer.json()["predictions"][1]["problem"]["field"] == "rows[1].mean_radius"


def test_without_a_reference_it_serves_records_and_says_how_to_make_one(
    connect: Connect, digits_engine: Engine, digits: Trained, sqlite_store: Store
) -> None:
    client = connect(digits_engine, None)
    body = client.post("/v1/predict", files=files(pictures(digits, 2))).json()
    assert [one["ood"] for one in body["predictions"]] == [None, None]
    assert "tidegate profile" in body["ood_reason"]
    assert "tidegate profile" in client.get("/v1/model").json()["reference_reason"]
    assert "tidegate profile" in client.get("/", headers={"accept": "text/html"}).text
    assert sqlite_store.predictions.count() == 2


def test_inputs_are_not_kept_where_the_switch_is_off(
    connect: Connect, digits_engine: Engine, digits: Trained, sqlite_store: Store
) -> None:
    client = connect(digits_engine, digits.reference, record_inputs=False)
    body = client.post("/v1/predict", files=files(pictures(digits, 1))).json()
    from uuid import UUID

    kept = sqlite_store.predictions.get(UUID(body["predictions"][0]["id"]))
    assert kept is not None
    assert kept.raw_input is None


PNG, FORM = {"content-type": "image/png"}, {"content-type": "multipart/form-data; boundary=x"}
JSON = {"content-type": "application/json"}
PART = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (b"", PNG, 422, "body is empty"),
        (b"", {}, 415, "content type is missing"),
        (b"hello", PNG, 422, "not an image"),
        (b"hello", {"content-type": "text/plain"}, 415, "text/plain can't be used"),
        (b"{}", JSON, 415, "takes pictures, not JSON"),
        (b"--x--\r\n", FORM, 422, "no part named `file`"),
        (b"garbage", FORM, 400, "can't be read"),
        (b"--x\r\nbroken", FORM, 422, "no part named `file`"),
        (b"x", {"content-type": "multipart/form-data"}, 400, "can't be read"),
        (PART + b"\r\n--x--\r\n", FORM, 422, "image is empty"),
        (b"x" * 300_001, PNG, 413, "larger than the 300,000 bytes"),
        (PART + b"x" * 300_001 + b"\r\n--x--\r\n", FORM, 413, "larger than the 300,000 bytes"),
        ((PART + b"x\r\n") * 5 + b"--x--\r\n", FORM, 413, "at most 4"),
        ((PART + b"x\r\n") * 500 + b"--x--\r\n", FORM, 413, "can't be read"),
        (PNG, {**PNG, "tidegate-tags": "[1]"}, 422, "flat JSON object"),
    ],
    ids=[
        *("empty picture", "nothing", "text as picture", "text", "json", "empty form", "no form", "broken form"),
        *("no boundary", "empty file", "large picture", "large file", "many files", "very many files", "tags"),
    ],
)
def test_what_no_picture_learner_can_use_is_refused_as_a_problem(
    connect: Connect,
    digits_engine: Engine,
    digits: Trained,
    sqlite_store: Store,
    content,
    headers,
    status: int,
    said: str,
) -> None:
    client = connect(digits_engine, digits.reference, maximum_items=4, maximum_body_bytes=300_000)
    body = pictures(digits, 1)[0] if content is PNG else content
    answer = client.post("/v1/predict", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert said in problem["detail"]
    assert sqlite_store.predictions.count() == 0
    assert client.post("/v1/predict", files=files(pictures(digits, 1))).status_code == 200


def row_with(**change: object) -> bytes:
    return json.dumps(
        {"rows": [{name: value for name, value in {**ROW, **change}.items() if value is not ...}]}
    ).encode()


@pytest.mark.parametrize(
    ("content", "status", "field", "said"),
    [
        (b"", 422, None, "body is empty"),
        (b"{", 400, "body", "not JSON"),
        (b"[]", 422, "rows", "list of rows"),
        (b'{"rows": {}}', 422, "rows", "list of rows"),
        (b'{"rows": []}', 422, "rows", "list of rows is empty"),
        (b'{"row": [], "rows": [1]}', 422, "row", "means nothing here"),
        (b'{"rows": [1]}', 422, "rows[0]", "must be an object"),
        (b'{"rows": [{"mean_radius": NaN}]}', 400, "body", "write null, not NaN"),
        (b'{"rows": [{"mean_radius": Infinity}]}', 400, "body", "not JSON"),
        (b'{"rows": [{"outline": "\\ud800"}]}', 400, "body", "not JSON"),
        (b'{"rows": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400, "body", "not JSON"),
        (b"\xff\xfe", 400, "body", "not JSON"),
        (row_with(mean_radius=...), 422, "rows[0].mean_radius", "lacks"),
        (row_with(mean_radius=None), 422, "rows[0].mean_radius", "missing"),
        (row_with(mean_radius="wide"), 422, "rows[0].mean_radius", "takes a number"),
        (row_with(mean_radius=1e308), 422, "rows[0].mean_radius", "larger than"),
        (b'{"rows": [' + b"{}," * 99 + b"{}]}", 413, None, "at most 64"),
        (b'{"rows": [{}], "tags": [1]}', 422, "tags", "flat JSON object"),
        (b'{"rows": [{}], "tags": {"a": {"b": 1}}}', 422, "tags", "flat JSON object"),
        (json.dumps({"rows": [{}], "tags": {"a": "x" * 5_000}}).encode(), 422, "tags", "more than"),
    ],
)
def test_what_no_tabular_learner_can_use_is_refused_with_its_field(
    cells_client: TestClient, sqlite_store: Store, content: bytes, status: int, field: str | None, said: str
) -> None:
    answer = cells_client.post("/v1/predict", content=content, headers=JSON)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert said in problem["detail"]
    assert problem.get("field") == field
    assert sqlite_store.predictions.count() == 0


def test_a_picture_sent_to_a_tabular_learner_is_told_what_to_send(cells_client: TestClient) -> None:
    answer = cells_client.post("/v1/predict", content=b"x", headers=PNG)
    assert answer.status_code == 415
    assert "takes rows" in answer.json()["detail"]


def test_when_nothing_can_be_used_each_input_says_why(cells_client: TestClient) -> None:
    answer = cells_client.post("/v1/predict", json={"rows": [{}, {**ROW, "mean_radius": "wide"}]})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["rows[0].outline", "rows[1].mean_radius"]


def test_more_inputs_than_may_wait_are_refused_with_when_to_come_again(
    connect: Connect, digits_engine: Engine, digits: Trained, sqlite_store: Store
) -> None:
    client = connect(digits_engine, digits.reference, maximum_waiting=4)
    answer = client.post("/v1/predict", files=files(pictures(digits, 5)))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert sqlite_store.predictions.count() == 0


def test_a_prediction_that_can_not_be_recorded_is_not_answered(
    digits_client: TestClient, digits: Trained, sqlite_store: Store
) -> None:
    from sqlalchemy import text

    with sqlite_store.database.writing() as session:
        session.execute(text("ALTER TABLE predictions RENAME TO away"))
    answer = digits_client.post("/v1/predict", files=files(pictures(digits, 3)))
    assert answer.status_code == 503
    assert "Nothing was recorded" in answer.json()["detail"]
    with sqlite_store.database.writing() as session:
        session.execute(text("ALTER TABLE away RENAME TO predictions"))
    assert digits_client.post("/v1/predict", files=files(pictures(digits, 3))).status_code == 200


def test_a_row_whose_embedding_overflows_is_flagged_and_answered(cells_client: TestClient) -> None:
    row = {**ROW, "mean_radius": 1e38, "worst_radius": -1e38}
    answer = cells_client.post("/v1/predict", json={"rows": [row]})
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["ood"]["flagged"]
