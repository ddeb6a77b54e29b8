"""What is due is done once, whichever monitor finds it."""

import threading
import time
from datetime import datetime, timedelta
from itertools import count

from monitor.scheduling.due_times import DueTimes
from monitor.scheduling.leased_job import LeasedJob
from monitor.scheduling.schedule import LOOK, UPKEEP
from monitor.settings import MonitorSettings
from store.repositories.jobs import JobRepository, Lease
from store.store import Store


def test_eight_monitors_run_sixty_due_times_once_each(store: Store) -> None:
    """Each ticks on its own, with a repository of its own, until the sixtieth is done."""
    ran: list[datetime] = []
    lock = threading.Lock()
    begun = store.jobs.now()
    due_times = DueTimes(MonitorSettings(every_minutes=0.1 / 60))
    over = threading.Event()

    def look(lease: Lease) -> None:
        with lock:
            ran.append(lease.due_at)

    def watch(number: int) -> None:
        jobs = JobRepository(store.database, f"monitor {number}")
        job = LeasedJob(LOOK, due_times, jobs, look, lease_seconds=30)
        while not over.is_set():
            job.run_if_due()
            time.sleep(0.01)

    monitors = [threading.Thread(target=watch, args=(number,)) for number in range(8)]
    for monitor in monitors:
        monitor.start()
    for _ in count():
        with lock:
            if len(ran) >= 60:
                break
        assert store.jobs.now() - begun < timedelta(seconds=60)
        time.sleep(0.05)
    over.set()
    for monitor in monitors:
        monitor.join()
    assert len(ran) == len(set(ran)) >= 60
    assert sorted(ran) == sorted(run.due_at for run in store.jobs.all(LOOK))
    assert all(run.done_at is not None and run.token == 1 for run in store.jobs.all(LOOK))


def test_jobs_of_two_names_have_due_times_of_their_own(store: Store) -> None:
    ran: list[str] = []
    due_times = DueTimes(MonitorSettings(every_minutes=0.1 / 60))
    jobs = [
        LeasedJob(name, due_times, store.jobs, lambda lease: ran.append(lease.job), lease_seconds=30)
        for name in (LOOK, UPKEEP)
    ]
    for job in jobs:
        assert not job.run_if_due(), "nothing is due before the first due time after the start"
    time.sleep(0.15)
    assert [job.run_if_due() for job in jobs] == [True, True]
    assert ran == [LOOK, UPKEEP]
    for name in (LOOK, UPKEEP):
        (run,) = store.jobs.all(name)
        assert run.done_at is not None
