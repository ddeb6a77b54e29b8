"""Groups of flagged inputs that look alike: what new kinds of input arrive."""

from monitor.passes.monitor_pass import PassResult
from reports.sections.base import Record, Section, Values
from reports.sections.inputs import cards, inputs_at

GROUPS = 5
INPUTS = 4


class NewKinds(Section):
    name = "new_kinds"
    title = "New kinds of input"
    lead = "Flagged inputs that look alike to the learner. A group keeps its number from window to window."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        if not watched.groups:
            return None
        return {
            "groups": [
                {
                    "number": group.number,
                    "count": int(group.members.size),
                    "inputs": inputs_at(watched, record, group.members[:INPUTS].tolist()),
                }
                for group in watched.groups[:GROUPS]
            ],
            "left_out": max(len(watched.groups) - GROUPS, 0),
        }

    def draw(self, values: Values) -> str:
        drawn = [
            f"<h3>Group {group['number']}: {group['count']:,} inputs</h3>{cards(group['inputs'])}"
            for group in values["groups"]
        ]
        left = values["left_out"]
        note = f"<p class='note'>{left} smaller groups are left out.</p>" if left else ""
        return "".join(drawn) + note
