"""History: what a model's predictions add up to over a day or a quarter, in all and by slice. Reads rollups only."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.checks.sums_test import FEWEST_ROWS, WindowSumsTest, check_sums
from monitor.reference.profile import Reference
from monitor.shift.row_features import features_of
from monitor.shift.window_sums import sums_of
from reports import svg
from reports.render import page
from store.database.time_buckets import DAY_SECONDS, HOUR_SECONDS, bucket_start
from store.errors import NotFound
from store.repositories.models import ModelRecord
from store.rollups.rollups import ALL, Rollup
from store.store import Store

SCORE_SHARES = (0.5, 0.9, 0.99)
CONFIDENCE_SHARES = (0.1, 0.5)
SLICES_SHOWN = 20
# A test of one takes five milliseconds, and past a week its sums are too many to be read for a page.
SLICES_COMPARED = 8
_LONGEST_COMPARED = timedelta(days=7)
_HEIGHT, _LABEL = 150.0, 12


@dataclass(frozen=True)
class Span:
    """How far back to look, and how wide a bar is."""

    days: int
    seconds: int
    words: str


SPANS = {
    "day": Span(1, HOUR_SECONDS, "by the hour"),
    "week": Span(7, 6 * HOUR_SECONDS, "by six hours"),
    "month": Span(30, DAY_SECONDS, "by the day"),
    "quarter": Span(90, DAY_SECONDS, "by the day"),
}


@dataclass(frozen=True)
class Bar:
    """One stretch. QuantileSketch are those of `SCORE_SHARES` and `CONFIDENCE_SHARES`; None where nothing was scored."""

    start: datetime
    count: int
    flagged: int
    flagged_share: float | None
    mean_confidence: float | None
    score: list[float] | None
    confidence: list[float] | None


@dataclass(frozen=True)
class SliceLine:
    """One slice. `p_value` is of its difference from all other predictions, None where that can't be said."""

    slice: str
    count: int
    flagged_share: float | None
    mean_confidence: float | None
    p_value: float | None
    detected: bool


@dataclass(frozen=True)
class History:
    """What the page shows. `expected` is the share flagged if all is well and `threshold` the score from which an input
    is flagged, both None without a reference."""

    model: str
    span: str
    since: datetime
    until: datetime
    seconds: int
    expected: float | None
    threshold: float | None
    bars: list[Bar]
    slices: list[SliceLine]
    slices_not_shown: int


def history(store: Store, model: ModelRecord, reference: Reference | None, span: str, now: datetime) -> History:
    """The history of a model.

    Args:
        store: the record.
        model: of which model.
        reference: by whose features slices are compared.
        span: a key of `SPANS`.
        now: where it ends.

    Raises:
        NotFound: there is no such span.
    """
    if span not in SPANS:
        raise NotFound(f"There is no history of a {span!r}: ask for {', '.join(SPANS)}.")
    days, seconds = SPANS[span].days, SPANS[span].seconds
    since = bucket_start(now - timedelta(days=days), seconds) + timedelta(seconds=seconds)
    sums: dict[datetime, Rollup] = {}
    for stretch, rollup in store.rollups.between(model.sha256, since, now):
        start = bucket_start(stretch.start, seconds)
        sums[start] = sums[start] + rollup if start in sums else rollup
    number = round((bucket_start(now, seconds) - since) / timedelta(seconds=seconds)) + 1
    starts = [since + place * timedelta(seconds=seconds) for place in range(number)]
    lines, more = _slices(store, model, reference, since, now)
    flags = reference is not None and reference.flagged_law.rank > 0
    return History(
        model=model.name,
        span=span,
        since=since,
        until=now,
        seconds=seconds,
        expected=reference.flagged_law.expected_share if reference is not None and flags else None,
        threshold=reference.threshold if reference is not None and flags else None,
        bars=[_bar(start, sums.get(start, Rollup())) for start in starts],
        slices=lines,
        slices_not_shown=more,
    )


def history_page(found: History, names: list[str], where: str) -> str:
    """The page; `names` are the models there are, `where` the gateway's origin."""
    return page(
        "history.html",
        here="/history",
        found=found,
        spans=SPANS,
        names=names,
        where=where,
        charts=_charts(found) if any(bar.count for bar in found.bars) else [],
    )


def document(found: History) -> dict[str, Any]:
    """The same as plain values, for JSON."""
    return asdict(found) | {"score_shares": SCORE_SHARES, "confidence_shares": CONFIDENCE_SHARES}


def _bar(start: datetime, rollup: Rollup) -> Bar:
    return Bar(
        start,
        rollup.count,
        rollup.flagged,
        rollup.flagged_share,
        rollup.mean_confidence,
        rollup.scores.at(SCORE_SHARES),
        rollup.confidences.at(CONFIDENCE_SHARES),
    )


def _slices(
    store: Store, model: ModelRecord, reference: Reference | None, since: datetime, until: datetime
) -> tuple[list[SliceLine], int]:
    """The largest slices, and how many more there are."""
    all_of_them = store.rollups.by_slice(model.sha256, since, until)
    shown = dict(list(all_of_them.items())[:SLICES_SHOWN])
    tests: dict[str, WindowSumsTest] = {}
    if reference is not None and until - since <= _LONGEST_COMPARED:
        compared = [ALL, *list(shown)[:SLICES_COMPARED]]
        known = store.rollups.sums(model.sha256, since, until, features_of(reference).sha256, compared)
        sums = {name: sums_of(reference, rollup) for name, rollup in known.items()}
        for name, one in sums.items():
            rest = sums[ALL] - one if ALL in sums else one
            if name != ALL and min(one.count, rest.count) >= FEWEST_ROWS:
                tests[name] = check_sums(reference, one, against=rest)
    lines = [
        SliceLine(
            name,
            rollup.count,
            rollup.flagged_share,
            rollup.mean_confidence,
            tests[name].p_value if name in tests else None,
            name in tests and tests[name].detected,
        )
        for name, rollup in shown.items()
    ]
    return lines, len(all_of_them) - len(shown)


def _charts(found: History) -> list[dict[str, str]]:
    scored = any(bar.score for bar in found.bars)
    confident = any(bar.confidence for bar in found.bars)
    charts = [_counts(found)]
    if scored:
        charts += [_flagged(found), _quantiles(found, "OOD score", "score", SCORE_SHARES, found.threshold)]
    if confident:
        charts.append(_quantiles(found, "Confidence", "confidence", CONFIDENCE_SHARES, None))
    return charts


def _counts(found: History) -> dict[str, str]:
    x, y = _scales(found, max(bar.count for bar in found.bars) * 1.08)
    parts = [svg.vertical_axis(y, x.start, x.end, [(tick, _short(tick)) for tick in svg.ticks(0, y.high, 3)])]
    for place, bar in enumerate(found.bars):
        hint = f"{bar.count:,} predictions, {bar.flagged:,} flagged, from {_words(found, bar.start)}"
        left, width = x(place) + 1, x(1) - x(0) - 2
        parts.append(svg.bar(left, y(bar.count), width, _HEIGHT - y(bar.count), "training", hint))
        if bar.flagged:
            parts.append(svg.bar(left, y(bar.flagged), width, _HEIGHT - y(bar.flagged), "flagged", hint))
    return _chart(found, x, "Predictions", "Grey is all of them, orange the flagged ones.", parts)


def _flagged(found: History) -> dict[str, str]:
    shares = [bar.flagged_share for bar in found.bars]
    top = min(1.0, max(0.02, *(share or 0.0 for share in shares), found.expected or 0.0) * 1.15)
    x, y = _scales(found, top)
    form = "{:.0%}" if top > 0.1 else "{:.1%}"
    parts = [svg.vertical_axis(y, x.start, x.end, [(tick, form.format(tick)) for tick in svg.ticks(0, top, 3)])]
    for place, (bar, share) in enumerate(zip(found.bars, shares, strict=True)):
        if share is None:
            continue
        hint = f"{share:.2%} flagged of {bar.count:,}, from {_words(found, bar.start)}"
        # A sliver even for none flagged: no bar at all means that nothing was predicted.
        top_y = min(y(share), _HEIGHT - 2)
        parts.append(svg.bar(x(place) + 1, top_y, x(1) - x(0) - 2, _HEIGHT - top_y, "flagged", hint))
    if found.expected is not None:
        parts.append(
            svg.element("line", x1=x.start, x2=x.end, y1=y(found.expected), y2=y(found.expected), class_="mark")
        )
    return _chart(
        found, x, "Flagged as out of domain", "The dashed line is what to expect if nothing had changed.", parts
    )


def _quantiles(found: History, name: str, field: str, shares: tuple[float, ...], mark: float | None) -> dict[str, str]:
    rows: list[list[float] | None] = [getattr(bar, field) for bar in found.bars]
    high = max(value for row in rows if row for value in row)
    high = 1.0 if field == "confidence" else max(high, mark or 0.0) * 1.1
    x, y = _scales(found, high)
    parts = [svg.vertical_axis(y, x.start, x.end, [(tick, f"{tick:g}") for tick in svg.ticks(0, high, 3)])]
    for place in range(len(shares)):
        points = [None if row is None else (x(bar + 0.5), y(row[place])) for bar, row in enumerate(rows)]
        parts.append(svg.line(points, f"line q{place}"))
    last = max(bar for bar, row in enumerate(rows) if row)
    labels = zip(shares, rows[last] or [], strict=True)
    under = _HEIGHT
    for share, value in sorted(labels, key=lambda label: label[1]):
        # One that would lie on the one before is left out.
        if under - y(value) > _LABEL:
            under = y(value)
            parts.append(svg.text(x(last + 0.5) - 4, under - 4, f"{share:.0%}", class_="tick", text_anchor="end"))
    if mark is not None and mark < high:
        parts.append(svg.element("line", x1=x.start, x2=x.end, y1=y(mark), y2=y(mark), class_="mark"))
    words = ", ".join(f"{share:.0%}" for share in shares)
    lead = f"The values below which {words} of the predictions lie."
    return _chart(found, x, name, lead + (" Dashed: flagged from here." if mark is not None else ""), parts)


def _scales(found: History, top: float) -> tuple[svg.Scale, svg.Scale]:
    return svg.Scale(0, len(found.bars), 56, svg.WIDTH - 4), svg.Scale(0, top or 1.0, _HEIGHT, 10)


def _chart(found: History, x: svg.Scale, title: str, lead: str, parts: list[str]) -> dict[str, str]:
    ends = [(0.0, _words(found, found.bars[0].start)), (float(len(found.bars)), _words(found, found.until))]
    parts.append(svg.horizontal_axis(x, _HEIGHT, ends))
    return {"title": title, "lead": lead, "drawing": svg.figure(_HEIGHT + 28, "".join(parts), title, wide=False)}


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def _words(found: History, instant: datetime) -> str:
    return instant.strftime("%d %b" if found.seconds >= DAY_SECONDS else "%d %b %H:%M")
