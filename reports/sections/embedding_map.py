"""A map of the embeddings: training and window on the two directions in which training varies most."""

from html import escape

import numpy as np

from monitor.passes.monitor_pass import PassResult
from monitor.reference.scorers.base import unit_rows
from reports import svg
from reports.sections.base import Record, Section, Values

POINTS = 700
CLASSES_NAMED = 24
SIDE = 420


class EmbeddingMap(Section):
    name = "embedding_map"
    title = "Map of the inputs as the learner sees them"
    lead = "Each point is an input; near points look alike to the learner (principal components of training)."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        reference, recorded = watched.reference, watched.recorded
        finite = np.isfinite(recorded.embeddings).all(axis=1) if recorded.embeddings.size else np.zeros(0, bool)
        if reference is None or not finite.any() or reference.dimension < 2:
            return None
        rng = np.random.default_rng(0)
        training = unit_rows(reference.held_out.embeddings.astype(np.float64))
        window = unit_rows(recorded.embeddings[finite].astype(np.float64))
        centre = training.mean(axis=0)
        _, _, directions = np.linalg.svd(training - centre, full_matrices=False)
        # The sign of a direction is arbitrary; this choice is the same on every machine.
        plane = directions[:2] * np.sign(directions[:2, np.abs(directions[:2]).argmax(axis=1)].diagonal())[:, None]
        before, now = (training - centre) @ plane.T, (window - centre) @ plane.T
        chosen = [rng.permutation(len(side))[:POINTS] for side in (before, now)]
        named = []
        held_out = reference.held_out
        classes = watched.model.classes
        if held_out.class_indices is not None and len(classes) <= CLASSES_NAMED:
            for place, name in enumerate(classes):
                members = before[held_out.class_indices == place]
                if len(members):
                    named.append({"name": name, "at": [round(float(value), 4) for value in np.median(members, axis=0)]})
        flagged = recorded.flagged[finite][chosen[1]]
        return {
            "training": np.round(before[chosen[0]], 4).tolist(),
            "window": np.round(now[chosen[1]][~flagged], 4).tolist(),
            "flagged": np.round(now[chosen[1]][flagged], 4).tolist(),
            "classes": named,
        }

    def draw(self, values: Values) -> str:
        everything = np.array([*values["training"], *values["window"], *values["flagged"]])
        low, high = everything.min(axis=0), everything.max(axis=0)
        x = svg.Scale(float(low[0]), float(high[0]), 10, svg.WIDTH - 10)
        y = svg.Scale(float(low[1]), float(high[1]), SIDE - 10, 10)
        parts = [
            svg.dots(((x(a), y(b)) for a, b in values[kind]), f"dots {kind}")
            for kind in ("training", "window", "flagged")
        ]
        for one in values["classes"]:
            parts.append(
                svg.text(x(one["at"][0]), y(one["at"][1]) + 5, one["name"], class_="name", text_anchor="middle")
            )
        keys = (("training", "training"), ("window", "production"), ("flagged", "production, flagged"))
        legend = "".join(
            f'<span class="key {kind}">{escape(words)} ({len(values[kind])})</span>' for kind, words in keys
        )
        return f'<p class="legend">{legend}</p>' + svg.figure(SIDE, "".join(parts), self.title)
