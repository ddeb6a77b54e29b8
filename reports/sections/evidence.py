"""How much evidence of change each stream of numbers has gathered, one prediction after another."""

import math

from monitor.checks import CHANGE
from monitor.passes.monitor_pass import PassResult
from reports import svg
from reports.sections.base import Record, Section, Values

ROW = 30


class Evidence(Section):
    name = "evidence"
    title = "Evidence of change"
    lead = "What the sequential alarms have gathered; a bar that reaches the line rings."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        result = next((result for result in watched.run.results if result.check == CHANGE), None)
        if result is None:
            return None
        return {"promise": result.detail["promise"], "streams": list(result.detail["streams"].values())}

    def draw(self, values: Values) -> str:
        left, right = 190, svg.WIDTH - 90
        parts = []
        for place, one in enumerate(values["streams"]):
            top = place * ROW + 6
            # On a scale of orders of magnitude, as evidence grows by factors.
            share = max(0.0, math.log10(max(one["evidence"], 1.0)) / math.log10(one["threshold"]))
            kind = "flagged" if one["firing"] else "training"
            hint = f"{one['title']}: {one['evidence']:.3g} of {one['threshold']:.3g}, {one['seen']} predictions"
            parts += [
                svg.text(left - 8, top + 13, one["title"], class_="tick", text_anchor="end"),
                svg.bar(left, top, (right - left) * min(share, 1.0), 18, kind, hint),
                svg.text(right + 8, top + 13, "rings" if one["firing"] else f"{one['seen']:,} seen", class_="tick"),
            ]
        bottom = len(values["streams"]) * ROW + 6
        parts.append(svg.bar(right - 1, 2, 2, bottom - 6, "window", "rings here"))
        note = (
            "<p class='note'>Without a change the alarms of this model ring together at most once in "
            f"{values['promise']:,.0f} predictions on average, however often one looks.</p>"
        )
        return svg.figure(bottom, "".join(parts), self.title) + note
