"""The categories of a table's column, by the values that JSON can hold."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

# fastai's own first class is its mark for "missing".
MISSING = "#na#"


class Categories:
    """The values of one categorical column in training, and how they are sent.

    JSON has texts, numbers, true and false: days and instants are sent as ISO 8601, whatever else as its text.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        known = list(values)
        # Once, at the beginning: a table may have such a text among its own.
        known = known[1:] if known and isinstance(known[0], str) and known[0] == MISSING else known
        by_plain = {plain_value(value): value for value in known if value == value}
        self._by_plain: dict[Any, Any] = by_plain
        self._of_instants = bool(by_plain) and all(
            isinstance(value, date | np.datetime64) for value in by_plain.values()
        )

        self._of_truths = bool(by_plain) and all(isinstance(value, bool) for value in by_plain)

    def __bool__(self) -> bool:
        return bool(self._by_plain)

    def find(self, sent: Any) -> Any:
        """The category that was sent; None where it was not in training."""
        if self._of_instants and isinstance(sent, str):
            try:
                sent = plain_value(pd.Timestamp(sent))
            except ValueError:
                return None
        if self._of_truths and isinstance(sent, str):
            # Forms, and programs that read rows as text, send the word.
            sent = {"true": True, "false": False}.get(sent.strip().lower(), sent)
        return self._by_plain.get(sent)

    def examples(self) -> list[Any]:
        """The categories as they are sent, in order."""
        return sorted(self._by_plain, key=str)


def plain_value(value: Any) -> Any:
    """A value of a table as JSON can hold it."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, date):
        return pd.Timestamp(value).isoformat()
    return value if value is None or isinstance(value, str | int | float) else str(value)
