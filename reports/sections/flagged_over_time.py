"""The share of flagged inputs over the time of the window."""

from datetime import datetime

from monitor.history.report_material import TIME_BINS, JudgedWindow, ReportMaterial, time_range
from reports import svg
from reports.sections.base import Section, Values

_BOTTOM = 196


class FlaggedOverTime(Section):
    name = "flagged_over_time"
    title = "Flagged inputs over time"
    lead = "The share of inputs flagged as out of domain. The band is what would be seen if nothing had changed."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        if window.reference is None or not material.flagged_counts:
            return None
        law = window.reference.flagged_law
        since, until = time_range(window.recorded)
        typical_count = max(1, round(window.recorded.total / TIME_BINS))
        return {
            "since": since.isoformat(),
            "until": until.isoformat(),
            "expected": law.expected_share,
            "band": list(law.interval(typical_count)),
            "bins": [
                {"until": count.until.isoformat(), "total": count.total, "flagged": count.flagged}
                for count in material.flagged_counts
            ],
        }

    def draw(self, values: Values) -> str:
        bins = values["bins"]
        shares = [counts["flagged"] / counts["total"] if counts["total"] else 0.0 for counts in bins]
        top = max(0.05, *shares, values["band"][1]) * 1.1
        x, y = svg.Scale(0, len(bins), 48, svg.WIDTH - 4), svg.Scale(0, min(top, 1.0), _BOTTOM, 12)
        labels = [(value, f"{value:.0%}" if top > 0.1 else f"{value:.1%}") for value in svg.ticks(0, min(top, 1.0), 4)]
        low, high = (min(share, y.high) for share in values["band"])
        hint = f"expected: {low:.1%} to {high:.1%}"
        parts = [
            svg.bar(x.start, y(high), x.end - x.start, y(low) - y(high), "expected", hint),
            svg.vertical_axis(y, x.start, x.end, labels),
        ]
        for index, (counts, share) in enumerate(zip(bins, shares, strict=True)):
            if not counts["total"]:
                continue
            hint = f"{counts['flagged']} of {counts['total']} flagged ({share:.1%}), until {_instant(counts['until'])}"
            left, width = x(index) + 1.5, x(1) - x(0) - 3
            # A sliver even for none flagged: an empty bin means no traffic.
            bar_top, height = min(y(share), _BOTTOM - 2), max(_BOTTOM - y(share), 2)
            parts.append(svg.bar(left, bar_top, width, height, "flagged", hint))
        ends = [(0.0, _instant(values["since"])), (float(len(bins)), _instant(values["until"]))]
        parts.append(svg.horizontal_axis(x, _BOTTOM, ends))
        return svg.figure(_BOTTOM + 30, "".join(parts), self.title)


def _instant(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%d %b %H:%M:%S")
