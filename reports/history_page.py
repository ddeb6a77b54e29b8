"""The page of a model's history: charts over time, and a table of its slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.history.query import CONFIDENCE_SHARES, SCORE_SHARES, SPANS, History
from reports import svg
from reports.render import page

_HEIGHT, _LABEL_HEIGHT = 150.0, 12


@dataclass(frozen=True)
class Chart:
    """One drawing with its title and a sentence on how to read it."""

    title: str
    lead: str
    drawing: str


@dataclass(frozen=True)
class _Quantiles:
    """Quantiles of each bar at `shares`, None where there are none, and the value at which a dashed line is drawn."""

    title: str
    shares: tuple[float, ...]
    rows: list[list[float] | None]
    mark: float | None = None


def history_page(history: History, model_names: Sequence[str], origin: str) -> str:
    """The page.

    Args:
        history: what it shows.
        model_names: all models there are, for its navigation.
        origin: where the gateway is reached.
    """
    return page(
        "history.html",
        here="/history",
        history=history,
        spans=SPANS,
        model_names=model_names,
        origin=origin,
        charts=_charts(history) if any(bar.count for bar in history.bars) else [],
    )


def _charts(history: History) -> list[Chart]:
    charts = [_counts_chart(history)]
    if any(bar.score for bar in history.bars):
        scores = _Quantiles("OOD score", SCORE_SHARES, [bar.score for bar in history.bars], history.threshold)
        top = max(_largest(scores), scores.mark or 0.0) * 1.1
        charts += [_flagged_chart(history), _quantiles_chart(history, scores, top)]
    if any(bar.confidence for bar in history.bars):
        confidences = _Quantiles("Confidence", CONFIDENCE_SHARES, [bar.confidence for bar in history.bars])
        charts.append(_quantiles_chart(history, confidences, 1.0))
    return charts


def _counts_chart(history: History) -> Chart:
    x, y = _scales(history, max(bar.count for bar in history.bars) * 1.08)
    parts = [svg.vertical_axis(y, x.start, x.end, [(tick, _short_number(tick)) for tick in svg.ticks(0, y.high, 3)])]
    for index, bar in enumerate(history.bars):
        hint = f"{bar.count:,} predictions, {bar.flagged:,} flagged, from {_instant(history, bar.start)}"
        left, width = x(index) + 1, x(1) - x(0) - 2
        parts.append(svg.bar(left, y(bar.count), width, _HEIGHT - y(bar.count), "training", hint))
        if bar.flagged:
            parts.append(svg.bar(left, y(bar.flagged), width, _HEIGHT - y(bar.flagged), "flagged", hint))
    return _chart(history, x, "Predictions", "Grey is all of them, orange the flagged ones.", parts)


def _flagged_chart(history: History) -> Chart:
    shares = [bar.flagged_share for bar in history.bars]
    top = min(1.0, max(0.02, *(share or 0.0 for share in shares), history.expected or 0.0) * 1.15)
    x, y = _scales(history, top)
    number_format = "{:.0%}" if top > 0.1 else "{:.1%}"
    labels = [(tick, number_format.format(tick)) for tick in svg.ticks(0, top, 3)]
    parts = [svg.vertical_axis(y, x.start, x.end, labels)]
    for index, (bar, share) in enumerate(zip(history.bars, shares, strict=True)):
        if share is None:
            continue
        hint = f"{share:.2%} flagged of {bar.count:,}, from {_instant(history, bar.start)}"
        # A sliver even for none flagged: no bar at all means that nothing was predicted.
        bar_top = min(y(share), _HEIGHT - 2)
        parts.append(svg.bar(x(index) + 1, bar_top, x(1) - x(0) - 2, _HEIGHT - bar_top, "flagged", hint))
    if history.expected is not None:
        parts.append(_dashed_line(x, y(history.expected)))
    lead = "The dashed line is what to expect if nothing had changed."
    return _chart(history, x, "Flagged as out of domain", lead, parts)


def _quantiles_chart(history: History, quantiles: _Quantiles, top: float) -> Chart:
    x, y = _scales(history, top)
    parts = [svg.vertical_axis(y, x.start, x.end, [(tick, f"{tick:g}") for tick in svg.ticks(0, top, 3)])]
    for rank in range(len(quantiles.shares)):
        points = [None if row is None else (x(index + 0.5), y(row[rank])) for index, row in enumerate(quantiles.rows)]
        parts.append(svg.line(points, f"line q{rank}"))
    parts += _line_labels(quantiles, x, y)
    if quantiles.mark is not None and quantiles.mark < top:
        parts.append(_dashed_line(x, y(quantiles.mark)))
    shares = ", ".join(f"{share:.0%}" for share in quantiles.shares)
    lead = f"The values below which {shares} of the predictions lie."
    if quantiles.mark is not None:
        lead += " Dashed: flagged from here."
    return _chart(history, x, quantiles.title, lead, parts)


def _line_labels(quantiles: _Quantiles, x: svg.Scale, y: svg.Scale) -> list[str]:
    """The share of each line, at its last point."""
    last = max(index for index, row in enumerate(quantiles.rows) if row)
    shares_and_values = zip(quantiles.shares, quantiles.rows[last] or [], strict=True)
    labels, label_y = [], _HEIGHT
    for share, value in sorted(shares_and_values, key=lambda pair: pair[1]):
        # A label that would lie on the one below it is left out.
        if label_y - y(value) > _LABEL_HEIGHT:
            label_y = y(value)
            labels.append(svg.text(x(last + 0.5) - 4, label_y - 4, f"{share:.0%}", class_="tick", text_anchor="end"))
    return labels


def _largest(quantiles: _Quantiles) -> float:
    return max(value for row in quantiles.rows if row for value in row)


def _dashed_line(x: svg.Scale, y: float) -> str:
    return svg.element("line", x1=x.start, x2=x.end, y1=y, y2=y, class_="mark")


def _scales(history: History, top: float) -> tuple[svg.Scale, svg.Scale]:
    return svg.Scale(0, len(history.bars), 56, svg.WIDTH - 4), svg.Scale(0, top or 1.0, _HEIGHT, 10)


def _chart(history: History, x: svg.Scale, title: str, lead: str, parts: list[str]) -> Chart:
    start, end = _instant(history, history.bars[0].start), _instant(history, history.until)
    axis = svg.horizontal_axis(x, _HEIGHT, [(0.0, start), (float(len(history.bars)), end)])
    return Chart(title, lead, svg.figure(_HEIGHT + 28, "".join([*parts, axis]), title, wide=False))


def _short_number(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def _instant(history: History, instant: datetime) -> str:
    by_the_day = timedelta(seconds=history.seconds) >= timedelta(days=1)
    return instant.strftime("%d %b" if by_the_day else "%d %b %H:%M")
