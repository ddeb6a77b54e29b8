"""Groups of flagged inputs that look alike: what new kinds of input arrive."""

from monitor.history.report_material import GROUPS_SHOWN, JudgedWindow, ReportMaterial, group_rows
from reports.sections.base import Section, Values
from reports.sections.inputs import draw_inputs, input_values


class NewKinds(Section):
    name = "new_kinds"
    title = "New kinds of input"
    lead = "Flagged inputs that look alike to the learner. A group keeps its number from window to window."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        if not window.groups:
            return None
        return {
            "groups": [
                {
                    "number": group.number,
                    "count": int(group.members.size),
                    "inputs": input_values(window, material, group_rows(group)),
                }
                for group in window.groups[:GROUPS_SHOWN]
            ],
            "left_out": max(len(window.groups) - GROUPS_SHOWN, 0),
        }

    def draw(self, values: Values) -> str:
        drawn = [
            f"<h3>Group {group['number']}: {group['count']:,} inputs</h3>{draw_inputs(group['inputs'])}"
            for group in values["groups"]
        ]
        left_out = values["left_out"]
        note = f"<p class='note'>{left_out} smaller groups are left out.</p>" if left_out else ""
        return "".join(drawn) + note
