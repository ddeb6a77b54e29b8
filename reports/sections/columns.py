"""The columns of a table that moved, in their own words; of texts, their length."""

from html import escape

from monitor.history.report_material import JudgedWindow, ReportMaterial
from monitor.shift.column_changes import Question
from reports.sections.base import Section, Values

COLUMNS = 20


class Columns(Section):
    name = "columns"
    title = "What moved in the inputs"
    lead = "The largest change first. A column stands here where a test says that it moved; all columns share one error rate."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        if window.test is None or not window.test.columns:
            return None
        changes = window.test.columns
        return {
            "columns": [
                {
                    "column": change.column,
                    "before": change.before,
                    "now": change.now,
                    "words": change.sentence if change.question is Question.UNKNOWN else None,
                    "effect": change.effect,
                    "p_value": change.p_value,
                }
                for change in changes[:COLUMNS]
            ],
            "left_out": max(len(changes) - COLUMNS, 0),
        }

    def draw(self, values: Values) -> str:
        rows = "".join(_draw_change(change) for change in values["columns"])
        left_out = values["left_out"]
        note = f"<p class='note'>{left_out} smaller changes are left out.</p>" if left_out else ""
        heads = "<tr><th>column</th><th>before</th><th>now</th><th>moved</th></tr>"
        explained = (
            "<p class='note'>Moved: the largest gap between the two distributions of numbers, or the share of rows that "
            "have another value.</p>"
        )
        return f'<div class="scroll"><table>{heads}{rows}</table></div>{explained}{note}'


def _draw_change(change: Values) -> str:
    note = f"<p class='note'>{escape(change['words'])}</p>" if change["words"] else ""
    cells = "".join(f"<td>{escape(change[side])}</td>" for side in ("before", "now"))
    return f"<tr><td><b>{escape(change['column'])}</b>{note}</td>{cells}<td>{change['effect']:.0%}</td></tr>"
