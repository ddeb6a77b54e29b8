"""A monitor that is killed between an alert's change of state and its message: it goes out after a restart. FAULTS 10."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from store.repositories.alerts import AlertState
from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Population
from tests.e2e.harness import command, environment, wait_for
from tests.monitor.passes.test_monitor_pass import register, serve
from tests.monitor.receiver import receiving
from tests.preload import SettableClock

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

# The real monitor, which dies at one point: the change of state is committed, and nothing is sent.
DIES_BEFORE_SENDING = """
import os, signal, sys
import tidegate.monitor_jobs
tidegate.monitor_jobs.deliver_due = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from tidegate.cli import main
sys.argv = ["tidegate", *sys.argv[1:]]
main()
"""


@pytest.fixture
def shifted(tmp_path: Path, reference: Reference, population: Population) -> Iterator[Store]:
    """A record that the next look will raise an alert on."""
    with Store.open(StoreSettings(database=f"sqlite:///{tmp_path / 'tidegate.db'}")) as store:
        register(store, encode(reference))
        serve(store, reference, *population.strangers(200, np.random.default_rng(0)))
        yield store


def test_killed_before_it_is_sent(shifted: Store, tmp_path: Path) -> None:
    with receiving() as receiver:
        words = ("monitor", "--once", "--alert-to", receiver.address)
        dying = [sys.executable, "-c", DIES_BEFORE_SENDING, *words]
        assert subprocess.run(dying, cwd=tmp_path, env=environment(), timeout=120).returncode == -signal.SIGKILL
        assert shifted.alerts.all(AlertState.FIRING)
        owed = {event.id for event in shifted.alerts.events()}
        assert receiver.bodies == []
        for _ in range(2):
            done = subprocess.run(command(*words), cwd=tmp_path, env=environment(), capture_output=True, timeout=120)
            assert done.returncode == 0, done.stderr
    assert sorted(body["id"] for body in receiver.bodies) == sorted(map(str, owed))


def test_killed_while_it_is_sent(shifted: Store, tmp_path: Path) -> None:
    clock = SettableClock.create(tmp_path)
    with receiving("hang") as receiver:
        words = ("monitor", "--once", "--alert-to", receiver.address)
        sending = subprocess.Popen(command(*words), cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
        wait_for(lambda: len(receiver.bodies) > 0, "a message to be on its way", 60)
        sending.kill()
        sending.wait()
        first = receiver.bodies[0]["id"]
        owed = {str(event.id) for event in shifted.alerts.events()}
        assert first in owed
        # Taken by the one that is gone: nobody else sends it before that would have given up.
        again = command(*words)
        assert subprocess.run(again, cwd=tmp_path, env=environment(), capture_output=True, timeout=120).returncode == 0
        assert [body["id"] for body in receiver.bodies].count(first) == 1
        clock.set(300)
        later = environment() | clock.environment
        assert subprocess.run(again, cwd=tmp_path, env=later, capture_output=True, timeout=120).returncode == 0
    sent = [body["id"] for body in receiver.bodies]
    assert sent.count(first) == 2
    assert {one: sent.count(one) for one in owed} == {one: 2 if one == first else 1 for one in owed}
