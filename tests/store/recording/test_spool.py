"""The spool: durable, bounded, and never stopped by what it can't read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.database.engine import sqlite_module
from store.errors import DamagedRecord, StorageFull, StoreUnavailable
from store.recording.prediction_batch import PredictionBatch, RawInput
from store.recording.spool import Spool, damaged_files, drainer_lock
from tests.store.records import MODEL, prediction

BOUND = 10 * 1024**2


def batch(rows: int = 3, raw: bytes = b"picture") -> PredictionBatch:
    return PredictionBatch.of(MODEL, [prediction(second, raw=RawInput("image/png", raw)) for second in range(rows)])


def _rows(batch: PredictionBatch):
    return list(zip(*batch.columns(), strict=True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "predictions.db"


def raw_connection(path: Path):
    return sqlite_module().connect(str(path))


def test_a_batch_comes_back_as_it_went_in(path: Path) -> None:
    spool, sent = Spool(path, BOUND), batch()
    spool.append([sent, batch(1)])
    spool.close()
    again = Spool(path, BOUND)
    (first, second) = again.oldest(10)
    assert _rows(first.batch) == _rows(sent)
    assert first.batch.input_columns() == sent.input_columns()
    assert first.batch.repeatable
    assert len(second.batch) == 1
    assert again.depth().rows == 4
    again.remove([first.number])
    assert again.depth().rows == 1
    again.close()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 5),
    width=st.integers(1, 40),
    classes=st.integers(0, 6),
    tags=st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5), max_size=3) | st.none(),
    content=st.binary(max_size=50) | st.none(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_batch_survives_as_bytes(rows, width, classes, tags, content, seed) -> None:
    rng = np.random.default_rng(seed)
    template = batch(rows)
    sent = PredictionBatch(
        **{
            **vars(template),
            "tags": [tags] * rows,
            "raw_inputs": [None if content is None else RawInput("a/b", content)] * rows,
            "confidences": rng.uniform(size=rows).tolist(),
            "embeddings": rng.normal(scale=1e4, size=(rows, width)),
            "logits": rng.normal(size=(rows, classes)),
        }
    )
    read = PredictionBatch.from_bytes(sent.to_bytes())
    assert _rows(read) == _rows(sent)
    assert read.input_columns() == sent.input_columns()


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_batch_is_an_error_or_another_batch_and_never_a_crash(position: int, value: int, cut: bool) -> None:
    content = bytearray(batch().to_bytes())
    position %= len(content)
    content[position] = value
    try:
        PredictionBatch.from_bytes(bytes(content[:position] if cut else content))
    except DamagedRecord:
        return
    assert not cut


def test_a_torn_row_is_put_aside_and_counted_and_the_rest_goes_on(path: Path) -> None:
    spool = Spool(path, BOUND)
    spool.append([batch(2), batch(3), batch(4)])
    connection = raw_connection(path)
    connection.execute("UPDATE spooled SET content = substr(content, 1, 20) WHERE rows = 3")
    connection.commit()
    connection.close()
    assert spool.problems() == ["batch 2 does not match its checksum"]
    assert [len(spooled.batch) for spooled in spool.oldest(10)] == [2, 4]
    depth = spool.depth()
    assert (depth.rows, depth.put_aside) == (6, 3)
    spool.close()


def test_a_file_that_is_no_spool_any_more_is_set_aside_and_a_new_one_begun(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, " * 500)
    spool = Spool(path, BOUND)
    spool.append([batch()])
    assert spool.depth().rows == 3
    (damaged,) = damaged_files(path)
    assert damaged.read_bytes().startswith(b"not a database")
    spool.close()


def test_past_its_bound_nothing_is_written(path: Path) -> None:
    spool = Spool(path, 1024**2)
    big = batch(1, raw=b"x" * 700_000)
    spool.append([big])
    with pytest.raises(StorageFull, match="Bring the database back"):
        spool.append([big])
    assert spool.depth().rows == 1
    spool.remove([1])
    spool.append([big])
    spool.close()


def test_a_full_disk_is_told_as_one_and_damages_nothing(path: Path) -> None:
    spool = Spool(path, BOUND)
    spool.append([batch()])
    # The one limit of SQLite that is the same error as a disk without room.
    pages = spool._connection.execute("PRAGMA page_count").fetchone()[0]
    spool._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageFull, match="Make room"):
        spool.append([batch(1, raw=b"x" * 100_000)])
    spool._connection.execute("PRAGMA max_page_count = 1000000")
    spool.append([batch(1, raw=b"x" * 100_000)])
    assert spool.problems() == []
    assert spool.depth().rows == 4
    spool.close()


def test_one_process_of_a_machine_drains(path: Path) -> None:
    path.parent.mkdir()
    with drainer_lock(path) as first, drainer_lock(path) as second:
        assert (first, second) == (True, False)
    with drainer_lock(path) as again:
        assert again


def test_a_closed_spool_says_that_it_can_not_be_used(path: Path) -> None:
    spool = Spool(path, BOUND)
    spool.close()
    with pytest.raises(StoreUnavailable):
        spool.append([batch()])
