"""The record that a verb or a notebook reads."""

from store.store import Store
from tidegate.settings import load_settings


def open_store(database: str | None) -> Store:
    """Open the record at a SQLAlchemy URL, by default that of the settings. It closes itself: `with open_store(…) as store`.

    Raises:
        StoreUnavailable: it can't be reached, is newer than this code, or needs `tidegate db upgrade`.
    """
    return Store.open(load_settings(store={"database": database}).store)
