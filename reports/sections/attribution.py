"""What carries a shift: the classes whose share moved, with intervals, and the inputs most typical of it."""

from html import escape

from monitor.passes.monitor_pass import PassResult
from reports import svg
from reports.sections.base import Record, Section, Values
from reports.sections.inputs import cards, inputs_at

CLASSES = 10
INPUTS = 8
ROW = 24


class Attribution(Section):
    name = "carriers"
    title = "What carries the shift"
    lead = "The inputs most typical of the difference, and the classes whose share moved most, with 95 % intervals."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        test = watched.test
        if test is None or not test.detected:
            return None
        classes = sorted(test.classes[:CLASSES], key=lambda one: -abs(one.now - one.before))
        return {
            "inputs": inputs_at(watched, record, test.witnesses[:INPUTS].tolist()),
            "estimated": any(one.estimated for one in classes),
            "classes": [
                {"name": one.name, "before": one.before, "now": one.now, "low": one.low, "high": one.high}
                for one in classes
            ],
        }

    def draw(self, values: Values) -> str:
        return cards(values["inputs"]) + _classes(values)


def _classes(values: Values) -> str:
    classes = values["classes"]
    if not classes:
        return ""
    largest = max(max(one["before"], one["high"]) for one in classes)
    x = svg.Scale(0, largest * 1.05 or 1.0, 110, svg.WIDTH - 130)
    parts = []
    for place, one in enumerate(classes):
        middle = place * ROW + 16
        name = one["name"] if len(one["name"]) <= 14 else one["name"][:13] + "…"
        said = (
            f"{one['name']}: {one['before']:.1%} before, {one['now']:.1%} now ({one['low']:.1%} to {one['high']:.1%})"
        )
        parts += [
            svg.text(102, middle + 4, name, class_="tick", text_anchor="end"),
            svg.bar(x(one["low"]), middle - 3, max(x(one["high"]) - x(one["low"]), 1), 6, "expected", said),
            svg.bar(x(one["now"]) - 1.5, middle - 7, 3, 14, "window", said),
            svg.bar(x(one["before"]) - 1.5, middle - 7, 3, 14, "training", said),
            svg.text(
                x(max(one["high"], one["before"])) + 8,
                middle + 4,
                f"{one['before']:.0%} → {one['now']:.0%} ({one['low']:.0%} to {one['high']:.0%})",
                class_="tick",
            ),
        ]
    kind = "true classes, estimated from the confusion on held-out rows" if values["estimated"] else "predicted classes"
    note = f"<p class='note'>Shares of {escape(kind)}: grey before, colour now, its interval beneath.</p>"
    return svg.figure(len(classes) * ROW + 10, "".join(parts), "Shares of classes before and now") + note
