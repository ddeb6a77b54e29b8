"""A few SVG primitives: enough for bars, lines and points, with axes that people can read. Colours come from the page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

WIDTH = 640


@dataclass(frozen=True)
class Scale:
    """Maps values between `low` and `high` to pixels between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def element(name: str, content: str = "", **attributes: object) -> str:
    """One SVG element; `class_` becomes `class`, and other underscores become hyphens."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value) if isinstance(value, float) else str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{pairs}>{content}</{name}>" if content else f"<{name}{pairs}/>"


def text(x: float, y: float, content: str, **attributes: object) -> str:
    """A text element, its content escaped."""
    return element("text", escape(content), x=x, y=y, **attributes)


def title(content: str) -> str:
    """What a pointer resting on an element shows."""
    return element("title", escape(content))


def bar(x: float, y: float, width: float, height: float, class_: str, hint: str) -> str:
    """A bar with a hint."""
    return element("rect", title(hint), x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), class_=class_)


def line(points: Iterable[tuple[float, float] | None], class_: str) -> str:
    """A line through points, broken where there is None."""
    path, pen = "", "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path += f"{pen}{_number(point[0])} {_number(point[1])}"
        # A point alone still shows, by its round end.
        path += "h0" if pen == "M" else ""
        pen = "L"
    return element("path", d=path, class_=class_) if path else ""


def dots(points: Iterable[tuple[float, float]], class_: str) -> str:
    """Many points as one path: strokes of no length with round ends are drawn as discs."""
    path = "".join(f"M{_number(x)} {_number(y)}h0" for x, y in points)
    return element("path", d=path, class_=class_) if path else ""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between `low` and `high`, about so many."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / about
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = -(-low // step) * step
    return [first + index * step for index in range(int((high - first) / step + 1e-9) + 1)]


def horizontal_axis(scale: Scale, y: float, labels: Sequence[tuple[float, str]]) -> str:
    """A baseline with labels under it; those at the ends are kept inside."""
    parts = [element("line", x1=scale.start, x2=scale.end, y1=y, y2=y, class_="axis")]
    for value, label in labels:
        x = scale(value)
        anchor = "start" if x - scale.start < 12 else "end" if scale.end - x < 12 else "middle"
        # Hung from the axis, so that it clears it at whatever size the page gives the label.
        parts.append(text(x, y + 8, label, class_="tick below", text_anchor=anchor))
    return "".join(parts)


def vertical_axis(scale: Scale, left: float, right: float, labels: Sequence[tuple[float, str]]) -> str:
    """Grid lines with labels at their left."""
    parts = []
    for value, label in labels:
        y = scale(value)
        parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(text(left - 6, y + 4, label, class_="tick", text_anchor="end"))
    return "".join(parts)


def figure(height: float, content: str, label: str, *, wide: bool = True) -> str:
    """A whole drawing; `label` says what it shows to those who can't see it, `wide` that it fills the page."""
    box = f"0 0 {WIDTH} {_number(height)}"
    return element("svg", content, viewBox=box, role="img", aria_label=label, class_="wide" if wide else None)


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") or "0"
