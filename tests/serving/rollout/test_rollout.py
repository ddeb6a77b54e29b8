"""Rolling out: a shadow sees all and answers none, a canary's share is sticky, a change drops no request."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from serving.engine.engine import Engine
from serving.gateway.gateway import Gateway
from serving.http.application import create_application
from serving.learner.loading import load
from serving.rollout.deployment import Deployment
from serving.rollout.traffic_plan import Plan, Role, Version
from serving.settings import ServingSettings
from store.errors import BadLearner, BadSettings
from store.store import Store
from tests.conftest import Trained

ONE = Version(Path("one.pkl"), "1" * 64, None)
TWO = Version(Path("two.pkl"), "2" * 64, Path("two.reference"))


def test_a_plan_reads_back_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan(ONE).with_shadow(TWO).with_canary(TWO, 0.25)
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert Plan.load(tmp_path / "nothing.json") is None


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"live": {"export": 3}}', b"\xff"])
def test_a_plan_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(BadSettings, match="can't be read as a rollout"):
        Plan.load(tmp_path / "plan.json")


def test_from_a_parallel_trial_to_a_limited_scope_to_everyone() -> None:
    plan = Plan(ONE).with_shadow(TWO)
    assert plan.versions() == {Role.LIVE: ONE, Role.SHADOW: TWO}
    plan = plan.with_canary(TWO, 0.1)
    assert plan.versions() == {Role.LIVE: ONE, Role.CANARY: TWO}
    assert plan.stopped() == Plan(ONE)
    assert plan.promoted() == Plan(TWO)
    with pytest.raises(BadSettings, match="no canary and no shadow"):
        Plan(ONE).promoted()
    with pytest.raises(BadSettings, match="between 0 and 1"):
        Plan(ONE).with_canary(TWO, 1.0)


@pytest.fixture(scope="module")
def second(digits: Trained, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The same learner exported again, with other weights in its last layer: another version."""
    import torch

    learner = load(digits.export).learner
    with torch.no_grad():
        last = [module for module in learner.model.modules() if isinstance(module, torch.nn.Linear)][-1]
        last.weight.copy_(last.weight.flip(0))
        last.bias.copy_(last.bias.flip(0))
    learner.path = tmp_path_factory.mktemp("second")
    learner.export("digits-2.pkl")
    return Engine(load(learner.path / "digits-2.pkl"))


class Stage:
    """A gateway in this process whose plan can be changed, over a real record."""

    def __init__(self, store: Store, engines: dict[str, Engine], reference: Path, folder: Path) -> None:
        self.store = store
        self.plan_file = folder / "plan.json"
        self.versions = {name: Version(folder / name, engine.loaded.sha256, None) for name, engine in engines.items()}
        by_sha256 = {engine.loaded.sha256: engine for engine in engines.values()}
        loaded = Reference.load(reference)

        def load_version(version: Version) -> Gateway:
            if version.sha256 not in by_sha256:
                raise BadLearner(f"{version.export} is not there")
            engine = by_sha256[version.sha256]
            assert loaded.origin is not None
            belongs = loaded.origin.learner_sha256 == engine.loaded.sha256
            return Gateway(engine, loaded if belongs else None, store, ServingSettings())

        self.deployment = Deployment("digits", Plan(self.versions["one"]), load_version, self.plan_file)
        self.client = TestClient(create_application([self.deployment], store, MonitorSettings(), ServingSettings()))

    def follow(self, plan: Plan) -> None:
        """Change the plan as an operator does, and wait until it is followed."""
        plan.save(self.plan_file)
        until = time.monotonic() + 20
        while self.deployment.plan != plan and self.deployment.problem is None:
            assert time.monotonic() < until, "the plan was not followed"
            time.sleep(0.05)


@pytest.fixture
def stage(
    sqlite_store: Store, digits_engine: Engine, second: Engine, digits: Trained, tmp_path: Path
) -> Iterator[Stage]:
    made = Stage(sqlite_store, {"one": digits_engine, "two": second}, digits.reference, tmp_path)
    with made.client:
        yield made


def pictures(digits: Trained, number: int) -> list[bytes]:
    return [file.read_bytes() for file in sorted((digits.folder / "traffic").rglob("*.png"))[:number]]


def ask(client: TestClient, content: bytes, **headers: str) -> dict[str, Any]:
    answer = client.post("/v1/predict", content=content, headers={"content-type": "image/png", **headers})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_shadow_is_recorded_and_compared_and_never_answers(stage: Stage, digits: Trained) -> None:
    one, two = stage.versions["one"], stage.versions["two"]
    stage.follow(Plan(one).with_shadow(two))
    answers = [ask(stage.client, content) for content in pictures(digits, 30)]
    assert {answer["model"] for answer in answers} == {one.sha256}
    until = time.monotonic() + 20
    while stage.store.predictions.count(two.sha256) < 30:
        assert time.monotonic() < until
        time.sleep(0.05)
    found = stage.client.get("/v1/models/digits").json()
    live, shadow = found["versions"]
    assert (live["role"], shadow["role"]) == ("live", "shadow")
    agreement = shadow["agreement"]
    assert agreement["count"] == 30
    # A digit and its mirror: 9 - n is never n.
    assert agreement["same"] == 0.0
    assert live["flagged_share"] is not None
    page = stage.client.get("/models/digits", headers={"accept": "text/html"}).text
    assert "sees all, answers none" in page
    assert "0.0 % of the last 30" in page


def test_a_canary_answers_its_share_and_each_key_stays_with_one_version(stage: Stage, digits: Trained) -> None:
    one, two = stage.versions["one"], stage.versions["two"]
    (content,) = pictures(digits, 1)
    stage.follow(Plan(one).with_canary(two, 0.3))
    first = {key: ask(stage.client, content, **{"tidegate-key": f"user {key}"})["model"] for key in range(100)}
    again = {key: ask(stage.client, content, **{"tidegate-key": f"user {key}"})["model"] for key in range(100)}
    assert first == again
    canaried = {key for key, model in first.items() if model == two.sha256}
    assert 15 <= len(canaried) <= 45
    stage.follow(Plan(one).with_canary(two, 0.6))
    grown = {
        key
        for key in range(100)
        if ask(stage.client, content, **{"tidegate-key": f"user {key}"})["model"] == two.sha256
    }
    assert canaried < grown
    without = [ask(stage.client, content)["model"] for _ in range(60)]
    assert len(set(without)) == 2


def test_promoting_drops_no_request(stage: Stage, digits: Trained) -> None:
    one, two = stage.versions["one"], stage.versions["two"]
    contents = pictures(digits, 20)
    stop = threading.Event()

    def post(place: int) -> list[str]:
        models = []
        while not stop.is_set():
            models.append(ask(stage.client, contents[place])["model"])
        return models

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(post, place) for place in range(6)]
        time.sleep(0.5)
        for plan in (Plan(one).with_canary(two, 0.5), Plan(two), Plan(one).with_shadow(two), Plan(two)):
            stage.follow(plan)
            time.sleep(0.3)
        stop.set()
        models = [model for future in running for model in future.result()]
    assert set(models) == {one.sha256, two.sha256}
    assert stage.store.predictions.count() >= len(models)
    assert ask(stage.client, contents[0])["model"] == two.sha256


def test_a_version_that_cannot_be_opened_is_complained_of_and_the_live_one_goes_on(
    stage: Stage, digits: Trained
) -> None:
    one = stage.versions["one"]
    (content,) = pictures(digits, 1)
    for plan in (Plan(one).with_shadow(TWO), Plan(TWO)):
        stage.follow(plan)
        assert ask(stage.client, content)["model"] == one.sha256
        found = stage.client.get("/v1/models/digits").json()
        assert "is not there" in found["problem"]
        assert "Not as planned" in stage.client.get("/", headers={"accept": "text/html"}).text
        stage.deployment.problem = None


def test_one_version_can_be_asked_by_its_hash(stage: Stage, digits: Trained) -> None:
    one, two = stage.versions["one"], stage.versions["two"]
    (content,) = pictures(digits, 1)
    stage.follow(Plan(one).with_canary(two, 0.01))
    assert two.sha256 is not None
    headers = {"content-type": "image/png"}
    path = "/v1/models/digits/versions/{}/predict"
    answer = stage.client.post(path.format(two.sha256[:10]), content=content, headers=headers)
    assert answer.json()["model"] == two.sha256
    for unknown in ("0" * 12, two.sha256[:3]):
        assert stage.client.post(path.format(unknown), content=content, headers=headers).status_code == 404
    assert stage.client.post("/v1/models/nothing/predict", content=content, headers=headers).status_code == 404


def test_several_names_are_served_side_by_side(
    sqlite_store: Store, digits_engine: Engine, cells_engine: Engine, digits: Trained, cells: Trained
) -> None:
    gateways = [
        Gateway(engine, Reference.load(trained.reference), sqlite_store, ServingSettings())
        for engine, trained in ((digits_engine, digits), (cells_engine, cells))
    ]
    served = [Deployment.of(gateway) for gateway in gateways]
    application = create_application(served, sqlite_store, MonitorSettings(), ServingSettings())
    with TestClient(application) as client:
        assert [one["name"] for one in client.get("/v1/models").json()["models"]] == ["digits", "cells"]
        row = gateways[1].engine.adapter.examples()[0].content.decode()
        answer = client.post(
            "/v1/models/cells/predict",
            content=f'{{"rows": [{row}]}}',
            headers={"content-type": "application/json"},
        )
        assert answer.json()["model"] == cells_engine.loaded.sha256
        (content,) = pictures(digits, 1)
        assert ask(client, content)["model"] == digits_engine.loaded.sha256
        page = client.get("/", headers={"accept": "text/html"}).text
        assert "/models/digits" in page
        assert "/models/cells" in page
        for path in ("/models/cells", "/models/digits", "/try?model=cells", "/try?model=digits"):
            assert client.get(path, headers={"accept": "text/html"}).status_code == 200
        refused = client.post("/v1/models/cells/predict", content=b"", headers={"content-type": "application/json"})
        assert "/v1/models/cells/predict" in refused.json()["curl"]
