"""What carries a shift: the classes whose share moved, with intervals, and the inputs most typical of it."""

from html import escape

from monitor.history.report_material import JudgedWindow, ReportMaterial, typical_rows
from reports import svg
from reports.sections.base import Section, Values, shortened
from reports.sections.inputs import draw_inputs, input_values

CLASSES = 10
ROW_HEIGHT = 24


class Attribution(Section):
    name = "carriers"
    title = "What carries the shift"
    lead = (
        "The inputs most typical of the difference and, where classes are predicted, those whose share moved most, with "
        "95 % intervals."
    )

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        test = window.test
        if test is None or not test.detected:
            return None
        shares = sorted(test.classes[:CLASSES], key=lambda share: -abs(share.now - share.before))
        return {
            "inputs": input_values(window, material, typical_rows(window)),
            "estimated": any(share.estimated for share in shares),
            "classes": [
                {"name": share.name, "before": share.before, "now": share.now, "low": share.low, "high": share.high}
                for share in shares
            ],
        }

    def draw(self, values: Values) -> str:
        return draw_inputs(values["inputs"]) + _draw_classes(values)


def _draw_classes(values: Values) -> str:
    classes = values["classes"]
    if not classes:
        return ""
    largest = max(max(share["before"], share["high"]) for share in classes)
    x = svg.Scale(0, largest * 1.05 or 1.0, 110, svg.WIDTH - 130)
    parts = []
    for index, share in enumerate(classes):
        parts += _draw_class(share, x, middle=index * ROW_HEIGHT + 16)
    kind = "true classes, estimated from the confusion on held-out rows" if values["estimated"] else "predicted classes"
    note = f"<p class='note'>Shares of {escape(kind)}: grey before, colour now, its interval beneath.</p>"
    height = len(classes) * ROW_HEIGHT + 10
    return svg.figure(height, "".join(parts), "Shares of classes before and now") + note


def _draw_class(share: Values, x: svg.Scale, middle: int) -> list[str]:
    name, before, now, low, high = (share[key] for key in ("name", "before", "now", "low", "high"))
    hint = f"{name}: {before:.1%} before, {now:.1%} now ({low:.1%} to {high:.1%})"
    return [
        svg.text(102, middle + 4, shortened(name), class_="tick", text_anchor="end"),
        svg.bar(x(low), middle - 3, max(x(high) - x(low), 1), 6, "expected", hint),
        svg.bar(x(now) - 1.5, middle - 7, 3, 14, "window", hint),
        svg.bar(x(before) - 1.5, middle - 7, 3, 14, "training", hint),
        svg.text(
            x(max(high, before)) + 8,
            middle + 4,
            f"{before:.0%} → {now:.0%} ({low:.0%} to {high:.0%})",
            class_="tick",
        ),
    ]
