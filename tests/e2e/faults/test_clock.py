"""A machine's clock that is set while everything runs: the gateway's and the monitor's, real processes. FAULTS 7."""

import itertools
import subprocess
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from monitor.scheduling.schedule import LOOK, UPKEEP
from store.database.tables import JobRunRow, PredictionRow
from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Trained
from tests.e2e.faults.judge import judge
from tests.e2e.faults.postgresql import Postgresql
from tests.e2e.faults.test_faults import rows_of, server
from tests.e2e.faults.traffic import Traffic
from tests.e2e.harness import command, environment, gateway, run, wait_for
from tests.preload import SettableClock

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]
__all__ = ["server"]

# How far a row's instant may lie from the truth: a question to the database and back, on a busy machine.
APART = timedelta(seconds=2)


@pytest.fixture
def clock(tmp_path: Path) -> SettableClock:
    return SettableClock.create(tmp_path)


def test_a_clock_that_is_set_moves_no_prediction_and_no_window(
    cells: Trained, server: Postgresql, clock: SettableClock, tmp_path: Path
) -> None:
    assert run("db", "upgrade", "--database", server.url, folder=tmp_path).returncode == 0
    with Store.open(StoreSettings(database=server.url)) as store:
        began = store.jobs.now()
        with ExitStack() as stack:
            log = stack.enter_context((tmp_path / "monitor.log").open("w"))
            words = command("monitor", "--database", server.url, "--every", "0.05")
            monitor = subprocess.Popen(
                words, cwd=tmp_path, env=environment() | clock.environment, stdout=log, stderr=log
            )
            stack.callback(monitor.wait)
            stack.callback(monitor.kill)
            served = stack.enter_context(
                gateway(cells.export, "--database", server.url, "--no-monitor", folder=tmp_path, also=clock.environment)
            )
            traffic = Traffic([served.address], rows_of(cells), clients=4, seed=3)
            traffic.start()
            for seconds in (0, 3_600, -3_600, 86_400, 0):
                clock.set(seconds)
                time.sleep(7)
                # Due every three seconds, so that each job was done at this time too, however busy the machine.
                done = count_runs(store)
                wait_for(lambda done=done: all(count_runs(store)[job] > done[job] for job in done), "both jobs", 60)
            traffic.stop()
            ended = store.jobs.now()
            # It really was another time in there.
            clock.set(-86_400)
            wait_for(lambda: _days_apart(served.address) == -1, "the gateway's own clock to be set", 10)
            outcome = judge(store, traffic, cells)
        assert (outcome.missing, outcome.twice, outcome.never_issued, outcome.different) == ([], [], [], [])
        assert outcome.tallied == outcome.stored > 300
        with store.database.reading() as session:
            instants = sorted(session.scalars(select(PredictionRow.at)))
            due_times = {
                job: sorted(session.scalars(select(JobRunRow.due_at).where(JobRunRow.job == job)))
                for job in (LOOK, UPKEEP)
            }
        assert began - APART <= instants[0]
        assert instants[-1] <= ended + APART
        # The traffic never paused, and so neither do its instants.
        assert max(after - before for before, after in itertools.pairwise(instants)) < 2 * APART
        assert store.late_arrivals.minutes(cells_sha256(store)) == {}
        for job, instants_due in due_times.items():
            assert max(after - before for before, after in itertools.pairwise(instants_due)) < timedelta(seconds=60), (
                job
            )
            assert began - timedelta(minutes=1) <= instants_due[0], job
            assert instants_due[-1] <= ended + timedelta(minutes=1), job
        looks = list(store.runs.recent(limit=1_000))
        assert all(began - APART <= look.at <= store.jobs.now() for look in looks)
        # Windows with a verdict follow each other without a gap or an overlap, and hold each prediction once.
        judged = sorted((look.since, look.until) for look in looks if look.verdict.value in ("ok", "shifted"))
        assert judged, [(look.verdict.value, look.count, look.sentence) for look in looks]
        assert all(before[1] <= after[0] + timedelta(microseconds=1) for before, after in itertools.pairwise(judged))


def count_runs(store: Store) -> dict[str, int]:
    """How often each job was done."""
    return {job: sum(run.done_at is not None for run in store.jobs.all(job)) for job in (LOOK, UPKEEP)}


def cells_sha256(store: Store) -> str:
    return store.models.all()[0].sha256


def _days_apart(address: str) -> int:
    """How many days the gateway's own clock is ahead, by the date it puts on its answers."""
    date = httpx.get(f"{address}/health/live").headers["date"]
    return round((datetime.strptime(date, "%a, %d %b %Y %H:%M:%S %Z") - datetime.utcnow()) / timedelta(days=1))
