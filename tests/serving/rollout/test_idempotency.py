"""A request that is sent again with its Idempotency-Key gets the same ids and is recorded once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.rollout.idempotency import content_sha256
from store.recording.prediction_batch import RawInput
from store.store import Store
from tests.conftest import Trained
from tests.serving.rollout.test_rollout import pictures


def post(client: TestClient, content: bytes, key: str) -> Any:
    return client.post("/v1/predict", content=content, headers={"content-type": "image/png", "idempotency-key": key})


def test_the_same_request_again_gets_the_same_answer_and_one_row(
    digits_client: TestClient, digits: Trained, sqlite_store: Store
) -> None:
    (content,) = pictures(digits, 1)
    first, again = (post(digits_client, content, "a key").json() for _ in range(2))
    (one,), (other,) = first["predictions"], again["predictions"]
    assert one["id"] == other["id"]
    assert one["prediction"] == other["prediction"]
    assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
    assert one["ood"]["p_value"] == other["ood"]["p_value"]
    assert first["model"] == again["model"]
    assert sqlite_store.predictions.count() == 1
    assert post(digits_client, content, "another key").json()["predictions"][0]["id"] != one["id"]


def test_the_same_key_with_another_body_is_refused(digits_client: TestClient, digits: Trained) -> None:
    one, two = pictures(digits, 2)
    assert post(digits_client, one, "k").status_code == 200
    answer = post(digits_client, two, "k")
    assert answer.status_code == 422
    assert answer.json()["field"] == "idempotency-key"
    for wrong in ("", "x" * 256):
        assert post(digits_client, one, wrong).json()["field"] == "idempotency-key"


def test_two_at_once_are_recorded_once(digits_client: TestClient, digits: Trained, sqlite_store: Store) -> None:
    contents = pictures(digits, 4)
    together = threading.Barrier(8)

    def ask(place: int) -> str:
        together.wait()
        answer = post(digits_client, contents[place % 4], f"key {place % 4}")
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["predictions"][0]["id"]
        return found

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(ask, range(8)))
    assert ids[:4] == ids[4:]
    assert len(set(ids)) == sqlite_store.predictions.count() == 4


def test_what_was_not_recorded_the_first_time_is_computed_the_second(
    digits_client: TestClient, digits: Trained, sqlite_store: Store
) -> None:
    import hashlib
    from uuid import UUID

    from store.clock import new_id

    (content,) = pictures(digits, 1)
    (model,) = sqlite_store.models.all()
    id_ = new_id()
    # As a gateway leaves it that was killed between taking the key and recording.
    key = hashlib.sha256(b"digits\0lost").hexdigest()
    same = content_sha256([RawInput("image/png", content)], None)
    sqlite_store.idempotency.reserve(key, same, model.sha256, [id_])
    answer = post(digits_client, content, "lost").json()
    assert UUID(answer["predictions"][0]["id"]) == id_
    assert sqlite_store.predictions.get(id_) is not None


def test_a_mixed_batch_sent_again_is_answered_alike(digits_client: TestClient, digits: Trained) -> None:
    one, two = pictures(digits, 2)
    files = [("file", ("a", one)), ("file", ("b", b"no picture")), ("file", ("c", two))]
    form = {"content-type": "multipart/form-data; boundary=x", "idempotency-key": "m"}
    request = digits_client.build_request("POST", "/v1/predict", files=files, headers=form)
    request.read()
    first, again = (
        digits_client.post("/v1/predict", content=request.content, headers=dict(request.headers)).json()
        for _ in range(2)
    )
    assert [one.get("id") for one in first["predictions"]] == [one.get("id") for one in again["predictions"]]
    assert "problem" in first["predictions"][1]
    assert "problem" in again["predictions"][1]


def test_a_form_with_another_boundary_is_the_same_request(digits_client: TestClient, digits: Trained) -> None:
    (content,) = pictures(digits, 1)
    headers = {"idempotency-key": "form"}
    answers = [
        digits_client.post("/v1/predict", files=[("file", ("a", content))], headers=headers).json() for _ in range(2)
    ]
    assert answers[0]["predictions"][0]["id"] == answers[1]["predictions"][0]["id"]


def test_old_keys_are_forgotten(sqlite_store: Store) -> None:
    from datetime import timedelta

    from store.clock import new_id, utc_now

    sqlite_store.idempotency.reserve("a" * 64, "b" * 64, "c" * 64, [new_id()])
    sqlite_store.run_housekeeping(utc_now())
    assert sqlite_store.idempotency.forget_before(utc_now() + timedelta(seconds=1)) == 1
