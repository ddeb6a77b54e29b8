"""How much evidence of change each stream of numbers has gathered, one prediction after another."""

import math

from monitor.checks import CHANGE
from monitor.history.report_material import JudgedWindow, ReportMaterial
from reports import svg
from reports.sections.base import Section, Values

ROW_HEIGHT = 30
_LEFT, _RIGHT = 190, svg.WIDTH - 90


class Evidence(Section):
    name = "evidence"
    title = "Evidence of change"
    lead = "What the sequential alarms have gathered; a bar that reaches the line rings."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        result = next((result for result in window.run.results if result.check == CHANGE), None)
        if result is None:
            return None
        return {"promise": result.detail["promise"], "streams": list(result.detail["streams"].values())}

    def draw(self, values: Values) -> str:
        parts = []
        for index, stream in enumerate(values["streams"]):
            parts += _draw_stream(stream, top=index * ROW_HEIGHT + 6)
        bottom = len(values["streams"]) * ROW_HEIGHT + 6
        parts.append(svg.bar(_RIGHT - 1, 2, 2, bottom - 6, "window", "rings here"))
        note = (
            "<p class='note'>Without a change the alarms of this model ring together at most once in "
            f"{values['promise']:,.0f} predictions on average, however often one looks.</p>"
        )
        return svg.figure(bottom, "".join(parts), self.title) + note


def _draw_stream(stream: Values, top: int) -> list[str]:
    # On a scale of orders of magnitude, as evidence grows by factors.
    share = max(0.0, math.log10(max(stream["evidence"], 1.0)) / math.log10(stream["threshold"]))
    kind = "flagged" if stream["firing"] else "training"
    hint = f"{stream['title']}: {stream['evidence']:.3g} of {stream['threshold']:.3g}, {stream['seen']} predictions"
    state = "rings" if stream["firing"] else f"{stream['seen']:,} seen"
    return [
        svg.text(_LEFT - 8, top + 13, stream["title"], class_="tick", text_anchor="end"),
        svg.bar(_LEFT, top, (_RIGHT - _LEFT) * min(share, 1.0), 18, kind, hint),
        svg.text(_RIGHT + 8, top + 13, state, class_="tick"),
    ]
