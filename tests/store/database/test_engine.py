"""SQLite's guarantees."""

import pytest
from sqlalchemy import text

from store.database.engine import wal_is_safe
from store.store import Store


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((4, 0, 0), True),
    ],
)
def test_wal_is_used_only_where_it_can_not_lose_commits(version: tuple[int, int, int], safe: bool) -> None:
    assert wal_is_safe(version) is safe


def test_a_commit_is_on_disk_when_it_returns(sqlite_store: Store) -> None:
    with sqlite_store.database.reading() as session:
        assert session.scalar(text("PRAGMA synchronous")) == 2
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        journal = session.scalar(text("PRAGMA journal_mode"))
        version = tuple(int(part) for part in str(session.scalar(text("SELECT sqlite_version()"))).split("."))
    assert journal == ("wal" if wal_is_safe(version[:3]) else "delete")  # type: ignore[arg-type]
