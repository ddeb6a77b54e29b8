"""Slices: the predictions that share the value of a tag. Callers send what they like, so their number is limited."""

from collections.abc import Mapping
from typing import Any

MOST_TAGS = 10
MOST_VALUES = 30
OTHERS = "others"
_LONGEST = 60


class Slices:
    """Names slices, such as `site=berlin`.

    The first ten tags that come make slices, and the first thirty values of each; all further values of a tag are one
    slice, `others`.
    """

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def names_of(self, tags: Mapping[str, Any] | None) -> list[str]:
        """The slices that a prediction with these tags belongs to."""
        names = []
        for tag, value in (tags or {}).items():
            if tag not in self._values and len(self._values) >= MOST_TAGS:
                continue
            values = self._values.setdefault(tag, set())
            text = str(value)[:_LONGEST]
            if text not in values and len(values) >= MOST_VALUES:
                text = OTHERS
            values.add(text)
            names.append(f"{tag[:_LONGEST]}={text}")
        return names
