"""Training against window: histograms of the OOD score and of the confidence."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.history.report_material import JudgedWindow, ReportMaterial
from reports import svg
from reports.sections.base import Section, Values

BINS = 40
_TOP, _BOTTOM = 24, 240

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Axis:
    """What is measured from `low` to `high`, and a value to mark with its words."""

    name: str
    low: float
    high: float
    mark: float | None = None
    mark_words: str = ""


class Distributions(Section):
    name = "distributions"
    title = "Scores and confidence, training against window"
    lead = "Grey is held-out training data, colour is production. If nothing had changed they would lie on each other."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        reference, recorded = window.reference, window.recorded
        if reference is None:
            return None
        held_out = reference.held_out
        # A few far inputs would squeeze everything else into the first bar: the last bar takes all beyond.
        ceiling = float(np.quantile(held_out.scores, 0.999)) * 2
        score_axis = _Axis("OOD score", 0.0, ceiling, reference.threshold, "flagged from here")
        charts = [_histogram(score_axis, held_out.scores, recorded.scores)]
        if held_out.confidences is not None:
            confidence_axis = _Axis("confidence", 0.0, 1.0)
            charts.append(_histogram(confidence_axis, held_out.confidences, recorded.confidences))
        return {"charts": [chart for chart in charts if chart is not None]}

    def draw(self, values: Values) -> str:
        return f'<div class="pair">{"".join(_draw(chart) for chart in values["charts"])}</div>'


def _histogram(axis: _Axis, training: Floats, window: Floats) -> dict[str, Any] | None:
    training, window = training[np.isfinite(training)], window[np.isfinite(window)]
    if not training.size or not window.size:
        return None
    low, high, mark = axis.low, axis.high, axis.mark
    edges = np.linspace(low, high, BINS + 1)
    shares = [np.histogram(np.clip(side, low, high), edges)[0] / side.size for side in (training, window)]
    return {
        "name": axis.name,
        "low": low,
        "high": high,
        "beyond": bool((window > high).any()),
        "training": shares[0].tolist(),
        "window": shares[1].tolist(),
        "mark": mark if mark is not None and np.isfinite(mark) and low < mark < high else None,
        "mark_words": axis.mark_words,
    }


def _draw(chart: dict[str, Any]) -> str:
    x = svg.Scale(chart["low"], chart["high"], 48, svg.WIDTH - 4)
    y = svg.Scale(0, max(*chart["training"], *chart["window"]) * 1.08, _BOTTOM, _TOP)
    parts = [svg.vertical_axis(y, x.start, x.end, [(value, f"{value:.0%}") for value in svg.ticks(0, y.high, 4)])]
    parts += _draw_bars(chart, x, y)
    if chart["mark"] is not None:
        mark_x = x(chart["mark"])
        parts.append(svg.element("line", x1=mark_x, x2=mark_x, y1=16, y2=_BOTTOM, class_="mark"))
        parts.append(svg.text(mark_x + 6, _TOP, chart["mark_words"], class_="note"))
    labels = [(value, f"{value:g}") for value in svg.ticks(chart["low"], chart["high"], 5)]
    if chart["beyond"]:
        labels[-1] = (labels[-1][0], labels[-1][1] + " and more")
    parts.append(svg.horizontal_axis(x, _BOTTOM, labels))
    drawing = svg.figure(_BOTTOM + 30, "".join(parts), f"{chart['name']}: training against window", wide=False)
    return f"<figure><figcaption>{chart['name']}</figcaption>{drawing}</figure>"


def _draw_bars(chart: dict[str, Any], x: svg.Scale, y: svg.Scale) -> list[str]:
    """The bars of the window, narrower, over those of training."""
    number = len(chart["training"])
    width = (x.end - x.start) / number
    bars = []
    for side, inset in (("training", 0.5), ("window", width * 0.22)):
        for index, share in enumerate(chart[side]):
            if share > 0:
                left = x.start + index * width
                start = chart["low"] + index * (chart["high"] - chart["low"]) / number
                hint = f"{chart['name']} from {start:.2f}: {share:.1%} of {side}"
                bars.append(svg.bar(left + inset, y(share), width - 2 * inset, _BOTTOM - y(share), side, hint))
    return bars
