"""A real gateway for your own tests: a tiny learner, a port of its own, a record of its own.

    with running_gateway() as gateway:
        gateway.client.predict({"width": 0.1, "height": 0.2, "colour": "red"})
        assert len(gateway.predictions()) == 1

Nothing is downloaded, and no settings, database or file of yours is read or written.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np

from store.clock import EPOCH
from store.errors import BadLearner
from store.settings import StoreSettings
from store.store import Store
from tidegate import Client
from tidegate.gateway_process import GatewayProcess

_MOST_PREDICTIONS = 100_000
_SECONDS_TO_BE_READY = 30.0


@dataclass(frozen=True)
class TinyLearner:
    """An exported tabular learner of two classes and its reference, trained in this process in a second or two.

    It takes rows such as `{"width": 0.1, "height": 0.2, "colour": "red"}`: two numbers of mean 0 and deviation 1, and one
    of `blue`, `green` and `red`. The class is `large` where `width + height > 0`, and `small` elsewhere.
    """

    export: Path
    reference: Path

    @staticmethod
    def usual_row() -> dict[str, Any]:
        """A row like those it was trained on."""
        return {"width": 0.4, "height": 0.3, "colour": "red"}

    @staticmethod
    def strange_row() -> dict[str, Any]:
        """A row far from those it was trained on: it is flagged as out of domain."""
        return {"width": 40.0, "height": -60.0, "colour": "red"}


@dataclass(frozen=True)
class RecordedPrediction:
    """One prediction as it stands in the record; `score`, `p_value` and `flagged` are None where nothing was scored."""

    id: UUID
    at: datetime
    model: str
    prediction: str
    confidence: float | None
    score: float | None
    p_value: float | None
    flagged: bool | None
    tags: dict[str, Any]


class RunningGateway:
    """A gateway that answers at `url`, in a process of its own.

    Attributes:
        url: where it answers, such as `http://127.0.0.1:43210`.
        client: a `tidegate.Client` that asks it.
        database: SQLAlchemy URL of its record, for `tidegate … --database`.
    """

    def __init__(self, served: GatewayProcess, settings: StoreSettings) -> None:
        self._served = served
        self._settings = settings
        self.url: str = served.address
        self.client: Client = served.client
        self.database: str = settings.database

    @property
    def log(self) -> str:
        """What the gateway has said so far."""
        return self._served.log

    def predictions(self) -> list[RecordedPrediction]:
        """Every prediction in the record, in the order of their ids. An answered prediction is there at once."""
        with Store.open(self._settings) as store:
            return [one for model in store.models.all() for one in _recorded(store, model.sha256)]


@contextmanager
def running_gateway(
    export: str | Path | None = None,
    reference: str | Path | None = None,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    import_modules: tuple[str, ...] = (),
) -> Iterator[RunningGateway]:
    """Run a gateway on a free port, with a SQLite record in a temporary folder; both are gone afterwards.

    Args:
        export: a file that `learn.export()` wrote; by default a `TinyLearner`.
        reference: its reference; by default the `.reference` file beside the export, if there is one.
        settings: values that differ from the defaults, by room: `{"serving": {"maximum_items": 2}}`. The monitor does not
            run unless `{"serving": {"monitor": True}}` asks for it.
        import_modules: modules that define functions the learner needs.

    Raises:
        BadLearner: the gateway did not start; the message holds what it said.
    """
    if export is None:
        tiny = tiny_learner()
        export, reference = tiny.export, reference or tiny.reference
    with tempfile.TemporaryDirectory(prefix="tidegate-test-") as folder:
        record = StoreSettings(database=f"sqlite:///{Path(folder) / 'tidegate.db'}", spool=str(Path(folder) / "spool"))
        rooms = {"serving": {"monitor": False, **(settings or {}).get("serving", {})}}
        rooms["store"] = {**(settings or {}).get("store", {}), "database": record.database, "spool": record.spool}
        rooms["monitor"] = {**(settings or {}).get("monitor", {})}
        command = [sys.executable, "-m", "tidegate", "serve", str(Path(export).resolve())]
        command += ["--host", "127.0.0.1", "--port", "0", "--with-parent"]
        command += [] if reference is None else ["--reference", str(Path(reference).resolve())]
        command += [word for module in import_modules for word in ("--import", module)]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(rooms),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with GatewayProcess(process) as served:
            _wait_until_ready(served)
            yield RunningGateway(served, record)


def _wait_until_ready(served: GatewayProcess) -> None:
    # A gateway says its address shortly before it listens there.
    until = time.monotonic() + _SECONDS_TO_BE_READY
    while served.running and time.monotonic() < until:
        try:
            if httpx.get(f"{served.address}/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise BadLearner(f"The gateway did not become ready to answer. It said:\n{served.log}")


@cache
def tiny_learner() -> TinyLearner:
    """Train, export and profile the tiny learner, once in a process; its files are deleted when the process ends."""
    from serving.learner.tiny import train_tiny_learner
    from tidegate.notebook import profile

    folder = tempfile.TemporaryDirectory(prefix="tidegate-tiny-")
    atexit.register(folder.cleanup)
    learner, export = train_tiny_learner(Path(folder.name))
    return TinyLearner(export, profile(learner, export).save(export.with_suffix(".reference")))


def _recorded(store: Store, sha256: str) -> Iterator[RecordedPrediction]:
    everything = (EPOCH, datetime(9999, 1, 1, tzinfo=UTC))
    window = store.predictions.window(sha256, *everything, max_rows=_MOST_PREDICTIONS, rng=np.random.default_rng(0))
    for prediction_id in window.ids:
        one = store.predictions.get(prediction_id)
        if one is not None:
            yield RecordedPrediction(
                id=one.id,
                at=one.at,
                model=sha256,
                prediction=one.prediction,
                confidence=one.confidence,
                score=one.ood_score,
                p_value=one.ood_p_value,
                flagged=one.flagged,
                tags=dict(one.tags or {}),
            )


def _environment(rooms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The environment without settings of whoever runs the tests, and with these; modules are found as they are here."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    given = {f"TIDEGATE_{room.upper()}": json.dumps(fields) for room, fields in rooms.items() if fields}
    here = os.pathsep.join(str(Path(place or ".").resolve()) for place in sys.path)
    return ours | given | {"PYTHONPATH": here}
