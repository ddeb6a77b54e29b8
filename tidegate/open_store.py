"""The record that a verb or a notebook reads."""

from store.store import Store
from tidegate.settings import load_settings


def open_store(database: str | None, *, make: bool = False) -> Store:
    """Open the record at a SQLAlchemy URL, by default that of the settings. It closes itself: `with open_store(…) as store`.

    Args:
        database: the URL; None for that of the settings.
        make: make a SQLite file that is not there, for verbs that begin a record.

    Raises:
        NotFound: the SQLite file is not there, and `make` is false.
        StoreUnavailable: it can't be reached, is newer than this code, or needs `tidegate db upgrade`.
    """
    return Store.open(load_settings(store={"database": database}).store, make=make)
