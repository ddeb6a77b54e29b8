"""The one shape of a report section: plain values of a judged window, and their drawing."""

from typing import Any, Protocol

from monitor.history.report_material import JudgedWindow, ReportMaterial

Values = dict[str, Any]
# Longer names of classes are cut in drawings.
_NAME_CHARACTERS = 14


class Section(Protocol):
    """One part of a drift report."""

    name: str
    title: str
    lead: str

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        """What is drawn, as JSON can hold it; None where this section has nothing to show."""
        ...

    def draw(self, values: Values) -> str:
        """The values as HTML, escaped."""
        ...


def shortened(name: str) -> str:
    """A name that fits beside a drawing."""
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"
