"""Training against window: histograms of the OOD score and of the confidence."""

from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.passes.monitor_pass import PassResult
from reports import svg
from reports.sections.base import Record, Section, Values

BINS = 40


class Distributions(Section):
    name = "distributions"
    title = "Scores and confidence, training against window"
    lead = "Grey is held-out training data, colour is production. If nothing had changed they would lie on each other."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        reference, recorded = watched.reference, watched.recorded
        if reference is None:
            return None
        held_out = reference.held_out
        # A few far inputs would squeeze everything else into the first bar: the last bar takes all beyond.
        ceiling = float(np.quantile(held_out.scores, 0.999)) * 2
        charts = [
            _histogram(
                "OOD score", held_out.scores, recorded.scores, 0.0, ceiling, reference.threshold, "flagged from here"
            ),
        ]
        if held_out.confidences is not None:
            charts.append(_histogram("confidence", held_out.confidences, recorded.confidences, 0.0, 1.0))
        return {"charts": [chart for chart in charts if chart is not None]}

    def draw(self, values: Values) -> str:
        return f'<div class="pair">{"".join(_draw(chart) for chart in values["charts"])}</div>'


def _histogram(
    name: str,
    training: npt.NDArray[np.float64],
    window: npt.NDArray[np.float64],
    low: float,
    high: float,
    mark: float | None = None,
    mark_words: str = "",
) -> dict[str, Any] | None:
    before, now = training[np.isfinite(training)], window[np.isfinite(window)]
    if not before.size or not now.size:
        return None
    edges = np.linspace(low, high, BINS + 1)
    shares = [np.histogram(np.clip(side, low, high), edges)[0] / side.size for side in (before, now)]
    return {
        "name": name,
        "low": low,
        "high": high,
        "beyond": bool((now > high).any()),
        "training": shares[0].tolist(),
        "window": shares[1].tolist(),
        "mark": mark if mark is not None and np.isfinite(mark) and low < mark < high else None,
        "mark_words": mark_words,
    }


def _draw(chart: dict[str, Any]) -> str:
    number = len(chart["training"])
    x = svg.Scale(chart["low"], chart["high"], 48, svg.WIDTH - 4)
    y = svg.Scale(0, max(*chart["training"], *chart["window"]) * 1.08, 240, 24)
    width = (x.end - x.start) / number
    parts = [svg.vertical_axis(y, x.start, x.end, [(value, f"{value:.0%}") for value in svg.ticks(0, y.high, 4)])]
    for side, inset in (("training", 0.5), ("window", width * 0.22)):
        for place, share in enumerate(chart[side]):
            if share > 0:
                left = x.start + place * width
                start = chart["low"] + place * (chart["high"] - chart["low"]) / number
                hint = f"{chart['name']} from {start:.2f}: {share:.1%} of {side}"
                parts.append(svg.bar(left + inset, y(share), width - 2 * inset, 240 - y(share), side, hint))
    if chart["mark"] is not None:
        at = x(chart["mark"])
        parts.append(svg.element("line", x1=at, x2=at, y1=16, y2=240, class_="mark"))
        parts.append(svg.text(at + 6, 24, chart["mark_words"], class_="note"))
    labels = [(value, f"{value:g}") for value in svg.ticks(chart["low"], chart["high"], 5)]
    if chart["beyond"]:
        labels[-1] = (labels[-1][0], labels[-1][1] + " and more")
    parts.append(svg.horizontal_axis(x, 240, labels))
    drawing = svg.figure(270, "".join(parts), f"{chart['name']}: training against window", wide=False)
    return f"<figure><figcaption>{chart['name']}</figcaption>{drawing}</figure>"
