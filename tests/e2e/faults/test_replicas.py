"""Several monitors on one PostgreSQL, as real processes: one leads, and when it is killed or frozen another takes over."""

import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.scheduling.schedule import LOOK
from store.database import migrate
from store.database.engine import Database
from store.repositories.processes import ProcessKind
from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Population, Trained
from tests.e2e.faults.test_faults import rows_of
from tests.e2e.harness import command, environment, gateway, wait_for
from tests.monitor.passes.test_monitor_pass import register, serve
from tests.monitor.receiver import receiving

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

EVERY_MINUTES = 0.05
LEASE_SECONDS = 2.0


def start_monitor(stack: ExitStack, folder: Path, url: str, *words: str) -> subprocess.Popen[bytes]:
    log = stack.enter_context((folder / "monitors.log").open("a"))
    settings = {"TIDEGATE_MONITOR__LEASE_SECONDS": str(LEASE_SECONDS), "TIDEGATE_MONITOR__COLUMNS_REPORT": "false"}
    process = subprocess.Popen(
        command("monitor", "--database", url, "--every", EVERY_MINUTES, *words),
        cwd=folder,
        env=environment() | settings,
        stdout=log,
        stderr=log,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    # A frozen one can't even be killed cleanly until it goes on.
    stack.callback(process.send_signal, signal.SIGCONT)
    return process


def due_times(store: Store) -> list[datetime]:
    return [run.due_at for run in store.jobs.all(LOOK) if run.done_at is not None]


def test_a_leader_that_is_killed_or_frozen_is_replaced_and_nothing_is_told_twice(
    postgresql_url: str, reference: Reference, population: Population, tmp_path: Path
) -> None:
    with Store(Database(StoreSettings(database=postgresql_url))) as store:
        migrate.upgrade(store.database)
        register(store, encode(reference))
        rng = np.random.default_rng(0)
        over = threading.Event()

        def traffic() -> None:
            strange = False
            while not over.wait(0.5):
                rows = population.strangers(60, rng) if strange else population.draw(60, rng)[:2]
                serve(store, reference, *rows)
                strange = strange or len(due_times(store)) > 3

        with ExitStack() as stack, receiving() as receiver:
            monitors = [
                start_monitor(stack, tmp_path, postgresql_url, "--alert-to", receiver.address) for _ in range(3)
            ]
            feeding = threading.Thread(target=traffic)
            feeding.start()
            try:
                wait_for(lambda: len(due_times(store)) >= 2, "the first looks")
                holder = store.jobs.all(LOOK)[0].holder
                leader = next(monitor for monitor in monitors if holder.endswith(f":{monitor.pid}"))
                leader.kill()
                done = len(due_times(store))
                began = time.monotonic()
                wait_for(lambda: len(due_times(store)) > done, "another to lead", 30)
                assert time.monotonic() - began < 2 * EVERY_MINUTES * 60 + LEASE_SECONDS
                # Frozen for much longer than a lease, then continued.
                wait_for(lambda: bool(receiver.bodies), "the alert", 60)
                frozen = next(monitor for monitor in monitors if monitor is not leader)
                frozen.send_signal(signal.SIGSTOP)
                done = len(due_times(store))
                wait_for(lambda: len(due_times(store)) >= done + 3, "looks without the frozen one", 60)
                frozen.send_signal(signal.SIGCONT)
                done = len(due_times(store))
                wait_for(lambda: len(due_times(store)) >= done + 3, "looks with all", 60)
            finally:
                over.set()
                feeding.join()
            # Each message came once, each due time was done once, and no two reports are of one window.
            ids = [body["id"] for body in receiver.bodies]
            assert len(ids) == len(set(ids)) >= 1
            runs = [run for run in store.runs.recent(limit=1_000) if run.replaced_by is None]
            judged = [(run.since, run.until) for run in runs if run.verdict.value in ("ok", "shifted")]
            assert len(judged) == len(set(judged)) >= 5
        assert len(due_times(store)) == len(set(due_times(store)))


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_monitor_ends_within_two_seconds_of_being_told_to(kind: signal.Signals, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'tidegate.db'}"
    store = Store.open(StoreSettings(database=database))
    with ExitStack() as stack:
        stack.callback(store.close)
        monitor = start_monitor(stack, tmp_path, database)
        wait_for(lambda: bool(store.processes.all()), "the monitor to be seen")
        wait_for(lambda: len(due_times(store)) >= 1, "a look", 20)
        began = time.monotonic()
        monitor.send_signal(kind)
        assert monitor.wait(timeout=20) == 0
        assert time.monotonic() - began < 2
        # It said that it ends, so that nobody misses it.
        assert store.processes.all() == []


def test_a_frozen_monitor_is_missed_by_the_gateway(cells: Trained, tmp_path: Path) -> None:
    """FAULTS 8."""
    with ExitStack() as stack, receiving() as receiver:
        database = f"sqlite:///{tmp_path / 'tidegate.db'}"
        words = (cells.export, "--database", database, "--no-monitor", "--alert-to", receiver.address)
        (tmp_path / "tidegate.toml").write_text("[monitor]\nsilent_seconds = 8\n")
        served = stack.enter_context(gateway(*words, folder=tmp_path))
        monitor = start_monitor(stack, tmp_path, database, "--alert-to", receiver.address)
        store = stack.enter_context(Store.open(StoreSettings(database=database)))
        wait_for(
            lambda: any(process.kind is ProcessKind.MONITOR for process in store.processes.all()),
            "the monitor to be seen",
        )
        monitor.send_signal(signal.SIGSTOP)
        wait_for(lambda: bool(receiver.bodies), "somebody to be told", 40)
        assert receiver.bodies[0]["data"]["title"] == "The monitor has stopped"
        page = httpx.get(served.address, headers={"accept": "text/html"}, timeout=30).text
        assert "The monitor has stopped" in page
        monitor.send_signal(signal.SIGCONT)
        wait_for(lambda: receiver.bodies[-1]["type"] == "tidegate.alert.resolved", "the all-clear", 40)
        # And predictions never stopped.
        answer = httpx.post(f"{served.address}/v1/predict", json={"rows": [rows_of(cells)[0]]}, timeout=30)
        assert answer.status_code == 200
