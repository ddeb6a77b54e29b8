"""A model that is served elsewhere: what comes in bulk is scored, recorded once, and refused where it does not fit."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from monitor.ingest.model_ingest import derive_id, register_external_model
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.settings import MonitorSettings
from serving.http.application import create_application
from serving.settings import ServingSettings
from store.store import Store
from tests.conftest import Population

ROW = {"embedding": [0.0] * 32, "logits": [0.0] * 5}
AT = datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.fixture
def fraud(sqlite_store: Store, reference: Reference) -> str:
    register_external_model(sqlite_store, "fraud", reference, encode(reference))
    return "fraud"


@pytest.fixture
def rows(population: Population) -> tuple[np.ndarray, np.ndarray]:
    return population.draw(5, np.random.default_rng(0))[:2]


def as_json(rows: tuple[np.ndarray, np.ndarray]) -> list[dict]:
    return [
        {"embedding": embedding.tolist(), "logits": logits.tolist(), "id": f"order-{place}", "at": AT.isoformat()}
        for place, (embedding, logits) in enumerate(zip(*rows, strict=True))
    ]


def as_table(rows: tuple[np.ndarray, np.ndarray]) -> pa.Table:
    return pa.table(
        {
            "embedding": pa.array(rows[0].tolist(), pa.list_(pa.float32())),
            "logits": pa.array(rows[1].tolist(), pa.list_(pa.float32())),
            "id": [f"order-{place}" for place in range(len(rows[0]))],
            "at": pa.array([AT] * len(rows[0]), pa.timestamp("us", "UTC")),
            "tags": ['{"site": "berlin"}'] * len(rows[0]),
        }
    )


def as_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def test_json_arrow_and_cloud_events_are_one_and_recorded_once(
    cells_client: TestClient, fraud: str, rows, reference: Reference, sqlite_store: Store
) -> None:
    sent = cells_client.post("/v1/ingest", json={"model": fraud, "predictions": as_json(rows)})
    assert sent.status_code == 200, sent.text
    ids = sent.json()["ids"]
    record = sqlite_store.predictions.get(UUID(ids[2]))
    assert record is not None
    assert record.at == AT
    assert record.ood_score == pytest.approx(float(reference.score(*rows).score[2]), rel=1e-3)
    np.testing.assert_allclose(record.embedding, rows[0][2], rtol=1e-3, atol=1e-3)
    stream = as_stream(as_table(rows))
    headers = {"content-type": "application/vnd.apache.arrow.stream"}
    assert cells_client.post(f"/v1/ingest?model={fraud}", content=stream, headers=headers).json()["ids"] == ids
    assert sqlite_store.counters.total(record_model(sqlite_store)).count == 5
    event = {
        "specversion": "1.0",
        "type": "org.kubeflow.serving.inference.response",
        "source": "kserve",
        "inferenceservicename": fraud,
        "id": "request-7",
        "time": AT.isoformat(),
        "data": {
            "outputs": [
                {"name": name, "shape": list(values.shape), "datatype": "FP32", "data": values.ravel().tolist()}
                for name, values in (("embedding", rows[0]), ("logits", rows[1]))
            ]
        },
    }
    headers = {"content-type": "application/cloudevents+json"}
    for _ in range(2):
        assert cells_client.post("/v1/ingest", json=event, headers=headers).json()["recorded"] == 5
    binary = {
        "ce-type": str(event["type"]),
        "ce-id": "request-7",
        "ce-time": AT.isoformat(),
        "ce-inferenceservicename": fraud,
    }
    assert cells_client.post("/v1/ingest", json=event["data"], headers=binary).json()["recorded"] == 5
    assert sqlite_store.counters.total(record_model(sqlite_store)).count == 10
    asked = event | {"type": "org.kubeflow.serving.inference.request", "data": {"inputs": []}}
    assert cells_client.post("/v1/ingest", json=asked, headers=headers).status_code == 202
    # They came after their time, so a window that was judged without them is judged again.
    assert sqlite_store.late_arrivals.minutes(record_model(sqlite_store)) == {AT: 10}


def record_model(store: Store) -> str:
    return next(one.sha256 for one in store.models.all() if one.name == "fraud")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": "nobody"}, None),
        ({"model": 7}, "model"),
        ({"predictions": []}, "predictions"),
        ({"predictions": [{"logits": [1.0]}]}, "predictions[0].embedding"),
        ({"predictions": [{"embedding": [1.0, 2.0], "logits": [0.0] * 5}]}, "embeddings"),
        ({"predictions": [{"embedding": ["x"] * 32, "logits": [0.0] * 5}]}, "embedding"),
        ({"predictions": [{"embedding": [0.0] * 32, "logits": [0.0] * 4}]}, "logits"),
        ({"predictions": [{"embedding": [0.0] * 32, "logits": [0.0] * 5, "at": "yesterday"}]}, "predictions[0].at"),
        (
            {"predictions": [{"embedding": [0.0] * 32, "logits": [0.0] * 5, "at": "2026-01-01T00:00:00"}]},
            "predictions[0].at",
        ),
        ({"predictions": [{"embedding": [0.0] * 32, "logits": [0.0] * 5, "id": ""}]}, "predictions[0].id"),
        ({"predictions": [{"embedding": [0.0] * 32, "logits": [0.0] * 5, "tags": [1]}]}, "predictions[0].tags"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(cells_client: TestClient, fraud: str, change, field) -> None:
    answer = cells_client.post("/v1/ingest", json={"model": fraud, "predictions": [ROW]} | change)
    assert answer.status_code in (404, 422), answer.text
    assert answer.json().get("field") == field


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff" * 100])
def test_a_body_that_is_nothing_is_refused(cells_client: TestClient, fraud: str, body: bytes) -> None:
    for kind in ("application/json", "application/vnd.apache.arrow.stream", "application/cloudevents+json"):
        answer = cells_client.post(f"/v1/ingest?model={fraud}", content=body, headers={"content-type": kind})
        assert answer.status_code in (400, 413, 422), (kind, answer.text)


def test_a_damaged_arrow_stream_is_refused(cells_client: TestClient, fraud: str, rows, sqlite_store: Store) -> None:
    stream = as_stream(as_table(rows))
    headers = {"content-type": "application/vnd.apache.arrow.stream"}
    for place in range(0, len(stream), 97):
        damaged = stream[:place] + bytes([stream[place] ^ 0xFF]) + stream[place + 1 :]
        for body in (damaged, stream[:place]):
            answer = cells_client.post(f"/v1/ingest?model={fraud}", content=body, headers=headers)
            assert answer.status_code in (200, 400, 413, 422), answer.text


def test_a_file_is_ingested_from_the_command_line(sqlite_store: Store, fraud: str, rows, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tidegate.cli import app

    pq.write_table(as_table(rows), tmp_path / "yesterday.parquet")
    words = ["ingest", str(tmp_path / "yesterday.parquet"), "--model", fraud]
    words += ["--database", sqlite_store.database.settings.database]
    for _ in range(2):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    assert "5 predictions of fraud are in the record" in result.output
    assert sqlite_store.predictions.count() == 5


def test_an_id_is_of_its_time_and_the_same_again() -> None:
    one = derive_id("m" * 64, "order-1", AT)
    assert one == derive_id("m" * 64, "order-1", AT)
    assert one != derive_id("m" * 64, "order-2", AT)
    assert (one.version, one.int >> 80) == (7, int(AT.timestamp() * 1_000))


def test_a_gateway_without_a_learner_takes_and_shows_what_is_predicted_elsewhere(
    sqlite_store: Store, fraud: str, rows: tuple[np.ndarray, np.ndarray]
) -> None:
    html = {"accept": "text/html"}
    application = create_application([], sqlite_store, MonitorSettings(), ServingSettings())
    with TestClient(application) as client:
        assert client.get("/health/ready").status_code == 200
        assert "fraud" in client.get("/", headers=html).text
        page = client.get("/models/fraud", headers=html).text
        assert "Nothing was predicted yet" in page
        assert "/v1/ingest" in page
        assert "/try" not in page.partition("<main>")[2]
        sent = client.post("/v1/ingest", json={"model": fraud, "predictions": as_json(rows)})
        assert sent.json()["recorded"] == 5
        assert "<b>5</b><span>predictions recorded" in client.get("/models/fraud", headers=html).text
        ingest = application.state.tidegate.ingest
        assert ingest.for_model(fraud) is ingest.for_model(sqlite_store.models.all()[0].sha256)
        ingest.for_model(fraud).history.write()
        assert sum(bar["count"] for bar in client.get("/history?span=quarter").json()["bars"]) == 5
        for path in ("/v1/model", "/try", "/v1/models/fraud"):
            assert client.get(path).status_code == 404, path
        refused = client.post("/v1/predict", json={"rows": [{}]})
        assert refused.status_code == 404
        assert "tidegate serve EXPORT" in refused.json()["detail"]
        assert client.get("/v1/models").json() == {"models": []}


def test_a_gateway_that_knows_nothing_says_how_to_begin(sqlite_store: Store) -> None:
    application = create_application([], sqlite_store, MonitorSettings(), ServingSettings())
    with TestClient(application) as client:
        assert "tidegate register" in client.get("/", headers={"accept": "text/html"}).text
        assert client.get("/history").status_code == 404
