"""The share of flagged inputs over the time of the window."""

from datetime import datetime, timedelta

from monitor.passes.monitor_pass import PassResult
from reports import svg
from reports.sections.base import Record, Section, Values

BINS = 24


class FlaggedOverTime(Section):
    name = "flagged_over_time"
    title = "Flagged inputs over time"
    lead = "The share of inputs flagged as out of domain. The band is what would be seen if nothing had changed."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        if watched.reference is None or watched.reference.flagged_law.rank == 0:
            return None
        recorded, law = watched.recorded, watched.reference.flagged_law
        if not recorded.at:
            return None
        # From the first to the last prediction: empty hours at the ends would squeeze the rest.
        since, until = recorded.at[0] - timedelta(milliseconds=1), recorded.at[-1]
        counts = record.flagged_over_time(watched.model.sha256, since, until, BINS)
        if not counts:
            return None
        typical = max(1, round(recorded.total / BINS))
        return {
            "since": since.isoformat(),
            "until": until.isoformat(),
            "expected": law.expected_share,
            "band": list(law.interval(typical)),
            "bins": [
                {"until": count.until.isoformat(), "total": count.total, "flagged": count.flagged} for count in counts
            ],
        }

    def draw(self, values: Values) -> str:
        bins = values["bins"]
        shares = [part["flagged"] / part["total"] if part["total"] else 0.0 for part in bins]
        top = max(0.05, *shares, values["band"][1]) * 1.1
        x, y = svg.Scale(0, len(bins), 48, svg.WIDTH - 4), svg.Scale(0, min(top, 1.0), 196, 12)
        marks = [(value, f"{value:.0%}" if top > 0.1 else f"{value:.1%}") for value in svg.ticks(0, min(top, 1.0), 4)]
        low, high = (min(share, y.high) for share in values["band"])
        parts = [
            svg.bar(
                x.start, y(high), x.end - x.start, y(low) - y(high), "expected", f"expected: {low:.1%} to {high:.1%}"
            ),
            svg.vertical_axis(y, x.start, x.end, marks),
        ]
        for place, (part, share) in enumerate(zip(bins, shares, strict=True)):
            if not part["total"]:
                continue
            hint = f"{part['flagged']} of {part['total']} flagged ({share:.1%}), until {_clock(part['until'])}"
            left, width = x(place) + 1.5, x(1) - x(0) - 3
            # A sliver even for none flagged: an empty bin means no traffic.
            parts.append(svg.bar(left, min(y(share), 194), width, max(196 - y(share), 2), "flagged", hint))
        ends = [(0.0, _clock(values["since"])), (float(len(bins)), _clock(values["until"]))]
        parts.append(svg.horizontal_axis(x, 196, ends))
        return svg.figure(226, "".join(parts), self.title)


def _clock(instant: str) -> str:
    return datetime.fromisoformat(instant).strftime("%d %b %H:%M:%S")
