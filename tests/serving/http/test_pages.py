"""The gateway's other addresses: health, model, pages, and their JSON."""

from datetime import UTC, datetime

import numpy as np
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serving.engine.engine import Engine
from store.store import Store
from tests.conftest import Trained
from tests.serving.conftest import Connect
from tests.serving.learner.test_adapters import ROW

HTML = {"accept": "text/html"}


@pytest.mark.parametrize("path", ["/", "/reports", "/history", "/alerts", "/try", "/docs"])
def test_every_page_draws_before_anything_has_happened(digits_client: TestClient, path: str) -> None:
    answer = digits_client.get(path, headers=HTML)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "Tidegate" in answer.text


def test_pages_ask_nothing_of_any_other_host(digits_client: TestClient) -> None:
    import re

    for path in ("/", "/reports", "/history", "/alerts", "/try", "/docs", "/static/tidegate.css"):
        text = digits_client.get(path, headers=HTML).text
        assert not re.findall(r'(?:src|href)="(?:https?:)?//(?!testserver)', text), path
        assert not re.findall(r"url\(\s*['\"]?https?:", text), path


def test_health_says_live_and_ready(digits_client: TestClient) -> None:
    assert digits_client.get("/health/live").json() == {"status": "live"}
    assert digits_client.get("/health/ready").json() == {"status": "ready"}


def test_a_gateway_whose_database_is_away_lives_but_is_not_ready(
    digits_client: TestClient, sqlite_store: Store
) -> None:
    sqlite_store.close()
    path = sqlite_store.database.url.database
    assert path is not None
    from pathlib import Path

    for name in Path(path).parent.glob("tidegate.db*"):
        name.unlink()
    Path(path).mkdir()
    assert digits_client.get("/health/live").status_code == 200
    answer = digits_client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reason"]


def test_the_model_says_what_it_is(digits_client: TestClient, digits_engine: Engine) -> None:
    body = digits_client.get("/v1/model").json()
    assert body["sha256"] == digits_engine.loaded.sha256
    assert body["classes"] == list("0123456789")
    assert (body["application"], body["task"], body["embedding_dimension"]) == ("vision", "single_label", 64)
    assert body["reference"]["calibration_rows"] == 750


def test_the_api_describes_itself(digits_client: TestClient) -> None:
    paths = digits_client.get("/openapi.json").json()["paths"]
    documented = {
        "/v1/predict",
        "/v1/model",
        "/v1/alerts",
        "/health/live",
        "/health/ready",
        "/reports",
        "/reports/{run_id}",
    }
    assert documented <= set(paths)
    body = paths["/v1/predict"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "image/png", "application/json"} <= set(body)


def test_a_page_that_is_not_there_is_said_to_be_in_the_callers_language(digits_client: TestClient) -> None:
    missing = "/reports/01890000-0000-7000-8000-000000000000"
    for path in ("/nowhere", missing):
        page = digits_client.get(path, headers=HTML)
        assert page.status_code == 404
        assert "<h1>" in page.text
        problem = digits_client.get(path)
        assert problem.status_code == 404
        assert problem.headers["content-type"] == "application/problem+json"
    bad = digits_client.get("/reports/not-an-id")
    assert bad.status_code == 422
    assert bad.json()["field"] == "path.run_id"


def test_alerts_can_be_asked_for_by_state(digits_client: TestClient) -> None:
    assert digits_client.get("/v1/alerts?state=firing").json() == {"alerts": [], "events": [], "notices": []}
    assert digits_client.get("/v1/alerts?state=sleeping").status_code == 422


def test_a_picture_can_be_tried_without_javascript(
    digits_client: TestClient, digits: Trained, sqlite_store: Store
) -> None:
    content = next((digits.folder / "traffic" / "3").glob("*.png")).read_bytes()
    page = digits_client.post("/try", files={"file": ("three.png", content, "image/png")})
    assert page.status_code == 200
    assert 'src="data:image/png;base64,' in page.text
    assert "in domain" in page.text or "out of domain" in page.text
    assert sqlite_store.predictions.count() == 1
    refused = digits_client.post("/try", files={"file": ("letter.txt", b"Dear reader", "text/plain")})
    assert refused.status_code == 422
    assert "not an image" in refused.text


def test_a_row_can_be_tried_in_a_form_that_begins_with_an_example(cells_client: TestClient) -> None:
    form = cells_client.get("/try").text
    assert all(f'name="{name}"' in form for name in ROW)
    page = cells_client.post("/try", data={name: str(value) for name, value in ROW.items()})
    assert page.status_code == 200
    assert "benign" in page.text
    refused = cells_client.post(
        "/try", data={**{name: str(value) for name, value in ROW.items()}, "mean_radius": "wide"}
    )
    assert refused.status_code == 422
    assert "takes a number" in refused.text


def test_a_form_is_read_with_the_limits_of_every_other_request(
    connect: Connect, cells_engine: Engine, cells: Trained, sqlite_store: Store
) -> None:
    client = connect(cells_engine, cells.reference, maximum_body_bytes=1_000)
    refused = client.post("/try", data={**{name: str(value) for name, value in ROW.items()}, "outline": "x" * 2_000})
    assert refused.status_code == 413
    assert "larger than the 1,000 bytes" in refused.text
    assert sqlite_store.predictions.count() == 0


def test_what_callers_send_is_shown_as_text_and_never_runs(
    connect: Connect, cells_engine: Engine, cells: Trained
) -> None:
    client = connect(cells_engine, cells.reference, name="<script>alert(1)</script>")
    row = {**{name: str(value) for name, value in ROW.items()}, "outline": "<img src=x onerror=alert(2)>"}
    for page in (
        client.get("/", headers=HTML),
        client.post("/try", data=row),
        client.get("/<img src=x>", headers=HTML),
    ):
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


def test_history_adds_up_what_was_predicted_and_tells_slices_apart(
    digits_client: TestClient, digits: Trained, sqlite_store: Store
) -> None:
    contents = [path.read_bytes() for path in sorted((digits.folder / "traffic").rglob("*.png"))[:6]]
    for index, content in enumerate(contents):
        tags = {"site": "berlin" if index % 3 else "<b>paris</b>"}
        answer = digits_client.post(
            "/v1/predict",
            content=content,
            headers={"content-type": "image/png", "tidegate-tags": orjson.dumps(tags).decode()},
        )
        assert answer.status_code == 200
    # A gateway writes what it holds when it stops; here it is asked for at once.
    application = digits_client.app
    (deployment,) = application.state.tidegate.deployments.all  # type: ignore[attr-defined]
    deployment.live.history.write()
    history = digits_client.get("/history?span=day").json()
    assert (history["model"], len(history["bars"])) == (deployment.live.model.name, 24)
    assert [bar["count"] for bar in history["bars"]] == [0] * 23 + [6]
    last = history["bars"][-1]
    records = [
        sqlite_store.predictions.get(id_)
        for id_ in sqlite_store.predictions.window(
            deployment.live.model.sha256,
            datetime.min.replace(tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
            max_rows=10,
            rng=np.random.default_rng(0),
        ).ids
    ]
    confidences = [record.confidence for record in records if record is not None and record.confidence is not None]
    assert last["mean_confidence"] == pytest.approx(np.mean(confidences))
    assert min(confidences) <= last["confidence"][1] <= max(confidences)
    assert [(line["slice"], line["count"]) for line in history["slices"]] == [
        ("site=berlin", 4),
        ("site=<b>paris</b>", 2),
    ]
    # Too few to be told apart by a test.
    assert [line["p_value"] for line in history["slices"]] == [None, None]
    for span in ("day", "week", "month", "quarter"):
        page = digits_client.get(f"/history?span={span}", headers=HTML).text
        assert "<svg" in page
        assert "site=berlin" in page
        assert "<b>paris" not in page
    assert digits_client.get("/history?span=century").status_code == 404
    assert digits_client.get("/history?model=nobody").status_code == 404


def test_metrics_are_what_prometheus_reads(digits_client: TestClient, digits: Trained, sqlite_store: Store) -> None:
    content = next((digits.folder / "traffic").rglob("*.png")).read_bytes()
    digits_client.post("/v1/predict", content=content, headers={"content-type": "image/png"})
    answer = digits_client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    model = sqlite_store.models.all()[0]
    of_model = ("model", model.name), ("version", model.sha256[:12])
    assert samples["tidegate_predictions_total", *of_model] == 1
    assert samples[("tidegate_spool_predictions",)] == 0
    assert samples[("tidegate_database_away",)] == 0
    assert samples[("tidegate_unrecorded_predictions_total",)] == 0
