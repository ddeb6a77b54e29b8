"""The mix of predicted classes, training against window."""

from html import escape

import numpy as np

from monitor.history.report_material import JudgedWindow, ReportMaterial
from reports import svg
from reports.sections.base import Section, Values, shortened

CLASSES = 20
ROW_HEIGHT = 26


class ClassMix(Section):
    name = "class_mix"
    title = "Predicted classes"
    lead = "The share of each predicted class: grey in held-out training data, colour in production."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        reference, recorded = window.reference, window.recorded
        if reference is None or reference.held_out.class_indices is None or reference.held_out.logits is None:
            return None
        thin = [thin_class.index for thin_class in reference.thin_classes]
        is_compared = (recorded.class_indices >= 0) & ~np.isin(recorded.class_indices, thin)
        predicted = recorded.class_indices[is_compared]
        if predicted.size == 0:
            return None
        number = reference.held_out.logits.shape[1]
        names = window.model.classes or [str(index) for index in range(number)]
        held_out = reference.held_out.class_indices
        held_out = held_out[~np.isin(held_out, thin)]
        if held_out.size == 0:
            return None
        training_shares = np.bincount(held_out, minlength=number) / held_out.size
        window_shares = np.bincount(predicted, minlength=number) / predicted.size
        # Of many classes, those that moved most; in the learner's order.
        moved_most = np.argsort(-np.abs(window_shares - training_shares), kind="stable")
        moved_most = moved_most[~np.isin(moved_most, thin)]
        chosen = np.sort(moved_most[:CLASSES])
        return {
            "left_out": len(moved_most) - len(chosen),
            "not_compared": [names[index] for index in thin[:CLASSES]],
            "classes": [
                {"name": names[index], "training": float(training_shares[index]), "window": float(window_shares[index])}
                for index in chosen
            ],
        }

    def draw(self, values: Values) -> str:
        shares = values["classes"]
        largest = max(max(share["training"], share["window"]) for share in shares)
        x = svg.Scale(0, largest * 1.02, 110, svg.WIDTH - 104)
        parts = []
        for index, share in enumerate(shares):
            parts += _draw_class(share, x, top=index * ROW_HEIGHT + 4)
        drawing = svg.figure(len(shares) * ROW_HEIGHT + 4, "".join(parts), self.title)
        notes = []
        if values["left_out"]:
            notes.append(f"The {values['left_out']} classes that moved least are left out.")
        if values.get("not_compared"):
            notes.append(f"Not compared, for too few held-out rows: {', '.join(values['not_compared'])}.")
        return drawing + "".join(f"<p class='note'>{escape(note)}</p>" for note in notes)


def _draw_class(share: Values, x: svg.Scale, top: int) -> list[str]:
    training, window = share["training"], share["window"]
    hints = {side: f"{share['name']}: {share[side]:.1%} of {side}" for side in ("training", "window")}
    return [
        svg.text(102, top + 15, shortened(share["name"]), class_="tick", text_anchor="end"),
        svg.bar(110, top, x(training) - 110, 9, "training", hints["training"]),
        svg.bar(110, top + 10, x(window) - 110, 9, "window", hints["window"]),
        svg.text(max(x(training), x(window)) + 6, top + 15, f"{(window - training) * 100:+.0f} pp", class_="tick"),
    ]
