"""A map of the embeddings: training and window on the two directions in which training varies most."""

from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.history.report_material import JudgedWindow, ReportMaterial
from monitor.reference.profile import Reference
from monitor.reference.scorers.base import unit_rows
from reports import svg
from reports.sections.base import Section, Values

POINTS = 700
CLASSES_NAMED = 24
HEIGHT = 420

Floats = npt.NDArray[np.float64]


class EmbeddingMap(Section):
    name = "embedding_map"
    title = "Map of the inputs as the learner sees them"
    lead = "Each point is an input; near points look alike to the learner (principal components of training)."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        reference, recorded = window.reference, window.recorded
        finite = np.isfinite(recorded.embeddings).all(axis=1) if recorded.embeddings.size else np.zeros(0, bool)
        if reference is None or not finite.any() or reference.dimension < 2:
            return None
        rng = np.random.default_rng(0)
        training = unit_rows(reference.held_out.embeddings.astype(np.float64))
        centre = training.mean(axis=0)
        directions = _main_directions(training - centre)
        training_points = (training - centre) @ directions.T
        window_points = (unit_rows(recorded.embeddings[finite].astype(np.float64)) - centre) @ directions.T
        training_rows, window_rows = (rng.permutation(len(side))[:POINTS] for side in (training_points, window_points))
        flagged = recorded.flagged[finite][window_rows]
        return {
            "training": np.round(training_points[training_rows], 4).tolist(),
            "window": np.round(window_points[window_rows][~flagged], 4).tolist(),
            "flagged": np.round(window_points[window_rows][flagged], 4).tolist(),
            "classes": _class_positions(reference, window.model.classes, training_points),
        }

    def draw(self, values: Values) -> str:
        points = np.array([*values["training"], *values["window"], *values["flagged"]])
        low, high = points.min(axis=0), points.max(axis=0)
        x = svg.Scale(float(low[0]), float(high[0]), 10, svg.WIDTH - 10)
        y = svg.Scale(float(low[1]), float(high[1]), HEIGHT - 10, 10)
        parts = [
            svg.dots(((x(across), y(up)) for across, up in values[kind]), f"dots {kind}")
            for kind in ("training", "window", "flagged")
        ]
        for class_position in values["classes"]:
            across, up = class_position["at"]
            parts.append(svg.text(x(across), y(up) + 5, class_position["name"], class_="name", text_anchor="middle"))
        keys = (("training", "training"), ("window", "production"), ("flagged", "production, flagged"))
        legend = "".join(
            f'<span class="key {kind}">{escape(label)} ({len(values[kind])})</span>' for kind, label in keys
        )
        return f'<p class="legend">{legend}</p>' + svg.figure(HEIGHT, "".join(parts), self.title)


def _main_directions(centred: Floats) -> Floats:
    """The two directions in which centred rows vary most, `(2, d)`."""
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    # The sign of a direction is arbitrary; this choice is the same on every machine.
    largest = directions[:2, np.abs(directions[:2]).argmax(axis=1)].diagonal()
    plane: Floats = directions[:2] * np.sign(largest)[:, None]
    return plane


def _class_positions(reference: Reference, classes: list[str], points: Floats) -> list[dict[str, Any]]:
    """Where the name of each class stands: the median of its held-out points."""
    class_indices = reference.held_out.class_indices
    if class_indices is None or len(classes) > CLASSES_NAMED:
        return []
    positions = []
    for index, name in enumerate(classes):
        members = points[class_indices == index]
        if len(members):
            middle = [round(float(value), 4) for value in np.median(members, axis=0)]
            positions.append({"name": name, "at": middle})
    return positions
