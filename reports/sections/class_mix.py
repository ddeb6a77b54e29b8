"""The mix of predicted classes, training against window."""

import numpy as np

from monitor.passes.monitor_pass import PassResult
from reports import svg
from reports.sections.base import Record, Section, Values

CLASSES = 20
ROW = 26


class ClassMix(Section):
    name = "class_mix"
    title = "Predicted classes"
    lead = "The share of each predicted class: grey in held-out training data, colour in production."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        reference, recorded = watched.reference, watched.recorded
        if reference is None or reference.held_out.class_indices is None or reference.held_out.logits is None:
            return None
        now = recorded.class_indices[recorded.class_indices >= 0]
        if now.size == 0:
            return None
        number = reference.held_out.logits.shape[1]
        names = watched.model.classes or [str(place) for place in range(number)]
        before = np.bincount(reference.held_out.class_indices, minlength=number) / reference.held_out.class_indices.size
        shares = np.bincount(now, minlength=number) / now.size
        # Of many classes, those that moved most; in the learner's order.
        chosen = np.sort(np.argsort(-np.abs(shares - before), kind="stable")[:CLASSES])
        return {
            "left_out": number - len(chosen),
            "classes": [
                {"name": names[place], "training": float(before[place]), "window": float(shares[place])}
                for place in chosen
            ],
        }

    def draw(self, values: Values) -> str:
        classes = values["classes"]
        bottom = len(classes) * ROW + 4
        x = svg.Scale(0, max(max(one["training"], one["window"]) for one in classes) * 1.02, 110, svg.WIDTH - 104)
        parts = []
        for place, one in enumerate(classes):
            top = place * ROW + 4
            name = one["name"] if len(one["name"]) <= 14 else one["name"][:13] + "…"
            parts.append(svg.text(102, top + 15, name, class_="tick", text_anchor="end"))
            hints = {side: f"{one['name']}: {one[side]:.1%} of {side}" for side in ("training", "window")}
            parts.append(svg.bar(110, top, x(one["training"]) - 110, 9, "training", hints["training"]))
            parts.append(svg.bar(110, top + 10, x(one["window"]) - 110, 9, "window", hints["window"]))
            change = one["window"] - one["training"]
            end = max(x(one["training"]), x(one["window"])) + 6
            parts.append(svg.text(end, top + 15, f"{change * 100:+.0f} pp", class_="tick"))
        note = (
            f"<p class='note'>The {values['left_out']} classes that moved least are left out.</p>"
            if values["left_out"]
            else ""
        )
        return svg.figure(bottom, "".join(parts), self.title) + note
