"""Gateways in this process, over real learners and a real record."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from serving.engine.engine import Engine
from serving.gateway.gateway import Gateway
from serving.http.application import create_application
from serving.learner.loading import load
from serving.rollout.deployment import Deployment
from serving.settings import ServingSettings
from store.store import Store
from tests.conftest import Trained
from tests.learners.applications import Case, texts
from tests.made_once import RunFolder


@pytest.fixture(scope="session")
def digits_engine(digits: Trained) -> Engine:
    return Engine(load(digits.export))


@pytest.fixture(scope="session")
def cells_engine(cells: Trained) -> Engine:
    return Engine(load(cells.export))


@pytest.fixture(scope="session")
def text_case(run_folder: RunFolder) -> Case:
    """A learner over texts: recurrent, so the slowest of the small ones to train."""

    def make(folder: Path) -> None:
        (folder / "case.pickle").write_bytes(pickle.dumps(texts(folder)))

    made: Case = pickle.loads((run_folder.make_once("texts", make) / "case.pickle").read_bytes())
    return made


Connect = Callable[..., TestClient]


@pytest.fixture
def sqlite_store(sqlite_store: Store) -> Store:
    """The record of a gateway: whoever serves opens recording."""
    sqlite_store.recording.open()
    return sqlite_store


@pytest.fixture
def connect(sqlite_store: Store) -> Iterator[Connect]:
    """Start a gateway and talk to it."""
    clients = []

    def start(engine: Engine, reference: Path | None, **settings) -> TestClient:
        loaded = None if reference is None else Reference.load(reference)
        limits = ServingSettings(**settings)
        gateway = Gateway(engine, loaded, sqlite_store, limits)
        application = create_application([Deployment.of(gateway)], sqlite_store, MonitorSettings(), limits)
        client = TestClient(application, raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def digits_client(connect: Connect, digits_engine: Engine, digits: Trained) -> TestClient:
    return connect(digits_engine, digits.reference)


@pytest.fixture
def cells_client(connect: Connect, cells_engine: Engine, cells: Trained) -> TestClient:
    return connect(cells_engine, cells.reference)
