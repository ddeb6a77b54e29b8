"""Slices: the predictions that share the value of a tag. Callers send what they like, so that only so many are told apart."""

from collections.abc import Mapping
from typing import Any

MOST_TAGS = 10
MOST_VALUES = 30
OTHERS = "others"
_LONGEST = 60


class Slices:
    """Names slices, such as `site=berlin`: of the first ten tags that come, the first thirty values; the rest of a tag's
    values together are `others`."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def of(self, tags: Mapping[str, Any] | None) -> list[str]:
        """The slices that a prediction with these tags belongs to."""
        found = []
        for name, value in (tags or {}).items():
            if name not in self._values and len(self._values) >= MOST_TAGS:
                continue
            values = self._values.setdefault(name, set())
            text = str(value)[:_LONGEST]
            if text not in values and len(values) >= MOST_VALUES:
                text = OTHERS
            values.add(text)
            found.append(f"{name[:_LONGEST]}={text}")
        return found
