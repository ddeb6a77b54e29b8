"""Runs in a process with `failing_disk.c` preloaded: the n-th write or sync fails, n = 1, 2, … until a run passes clean.

Prints how many runs failed on the way; ends with an error as soon as one breaks a promise.
"""

import ctypes
import errno
import shutil
import sys
from pathlib import Path

from sqlalchemy import select

from store.database import migrate
from store.database.engine import Database
from store.database.tables import PredictionRow
from store.errors import StoreUnavailable
from store.recording.prediction_batch import PredictionBatch, RawInput
from store.recording.spool import Spool
from store.settings import StoreSettings
from store.store import Store
from tests.store.records import MODEL, prediction, register

disk = ctypes.CDLL(None)
MAXIMUM_RUNS = 2_000


def batch() -> PredictionBatch:
    return PredictionBatch.of(MODEL, [prediction(raw=RawInput("image/png", b"x" * 9_000)) for _ in range(3)])


def record(folder: Path, template: Path, n: int, error: int, lasting: bool) -> bool:
    """Whether a write failed while predictions were recorded."""
    shutil.copytree(template, folder)
    settings = StoreSettings(database=f"sqlite:///{folder / 'tidegate.db'}")
    store = Store(Database(settings))
    store.recording.open()
    disk.arm(ctypes.c_long(n), error, int(lasting), str(folder).encode())
    issued, acknowledged = set(), set()
    for _ in range(4):
        sent = batch()
        issued |= set(sent.ids)
        try:
            store.recording.record([sent])
        except StoreUnavailable:
            continue
        acknowledged |= set(sent.ids)
    failed = bool(disk.disarm())
    store.close()
    store = Store(Database(settings))
    with store.database.reading() as session:
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        stored = set(session.scalars(select(PredictionRow.id)))
    assert acknowledged <= stored <= issued, "an acknowledged prediction is gone"
    assert len(stored) == store.predictions.count() == store.counters.total(MODEL).count
    assert len(store.predictions.raw_inputs(list(stored))) == len(stored)
    store.recording.open()
    store.recording.record([batch()])
    assert store.predictions.count() == len(stored) + 3
    store.close()
    return failed


def spool(folder: Path, _template: Path, n: int, error: int, lasting: bool) -> bool:
    """Whether a write failed while predictions went to the spool."""
    folder.mkdir()
    path = folder / "predictions.db"
    Spool(path, 10**9).close()
    opened = Spool(path, 10**9)
    disk.arm(ctypes.c_long(n), error, int(lasting), str(folder).encode())
    issued, acknowledged, drained = set(), set(), set()
    for step in range(5):
        sent = batch()
        issued |= set(sent.ids)
        try:
            opened.append([sent])
            acknowledged |= set(sent.ids)
            if step == 2:
                (oldest,) = opened.oldest(1)
                drained |= set(oldest.batch.ids)
                opened.remove([oldest.number])
        except StoreUnavailable:
            continue
    failed = bool(disk.disarm())
    opened.close()
    again = Spool(path, 10**9)
    waiting = [id_ for spooled in again.oldest(100) for id_ in spooled.batch.ids]
    # What was drained may come again: the database leaves it out then.
    assert acknowledged - drained <= set(waiting) <= issued, "an acknowledged prediction is gone"
    assert len(waiting) == len(set(waiting))
    again.append([batch()])
    again.close()
    return failed


def main(root: Path) -> None:
    template = root / "template"
    template.mkdir()
    store = Store(Database(StoreSettings(database=f"sqlite:///{template / 'tidegate.db'}")))
    migrate.upgrade(store.database)
    register(store)
    store.close()
    for work in (record, spool):
        for error in (errno.EIO, errno.ENOSPC):
            for lasting in (False, True):
                for n in range(1, MAXIMUM_RUNS):
                    folder = root / f"{work.__name__}-{error}-{lasting}-{n}"
                    failed = work(folder, template, n, error, lasting)
                    shutil.rmtree(folder)
                    if not failed:
                        break
                kind = "for good" if lasting else "once"
                sys.stdout.write(f"{work.__name__} {errno.errorcode[error]} {kind} {n - 1}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
