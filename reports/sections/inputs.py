"""Inputs as cards: the picture or row that was sent, what was predicted, and the training example most like it."""

from collections.abc import Sequence
from html import escape

import numpy as np
import orjson

from monitor.history.report_material import JudgedWindow, ReportMaterial
from monitor.reference.profile_content import Examples
from reports.pictures import data_uri, thumbnail_uri
from reports.sections.base import Values
from store.recording.prediction_batch import RawInput

COLUMNS = 8
CHARACTERS = 400


def input_values(window: JudgedWindow, material: ReportMaterial, row_indices: Sequence[int]) -> list[Values]:
    """The inputs at these rows of the window, as plain values."""
    if not row_indices:
        return []
    recorded = window.recorded
    examples = None if window.reference is None else window.reference.examples
    nearest = None if examples is None else examples.nearest(recorded.embeddings[list(row_indices)])
    inputs = []
    for rank, row_index in enumerate(row_indices):
        raw = material.raw_inputs.get(recorded.ids[row_index])
        row = None if raw is None else _row(raw)
        inputs.append(
            {
                "id": str(recorded.ids[row_index]),
                "prediction": recorded.predictions[row_index],
                "confidence": _finite_or_none(recorded.confidences[row_index]),
                "score": _finite_or_none(recorded.scores[row_index]),
                "p_value": _finite_or_none(recorded.p_values[row_index]),
                "flagged": bool(recorded.flagged[row_index]),
                "picture": thumbnail_uri(raw.content) if raw and raw.media_type.startswith("image/") else None,
                "tags": {str(name): str(value) for name, value in recorded.tags[row_index].items()},
                "row": None if row is None else {str(name): row[name] for name in list(row)[:COLUMNS]},
                "example": None
                if examples is None or nearest is None
                else _example_values(examples, int(nearest[rank])),
                "kept": raw is not None,
            }
        )
    return inputs


def draw_inputs(inputs: Sequence[Values]) -> str:
    """A gallery of cards, one for each input."""
    if not inputs:
        return ""
    any_kept = any(values["kept"] for values in inputs)
    note = "" if any_kept else "<p class='note'>The inputs themselves were not kept, or are forgotten.</p>"
    return f'<div class="gallery">{"".join(_draw_card(values) for values in inputs)}</div>{note}'


def _row(raw: RawInput) -> Values | None:
    if raw.media_type == "text/plain":
        return {"text": raw.content.decode(errors="replace")[:CHARACTERS]}
    row: Values | None = orjson.loads(raw.content) if raw.media_type == "application/json" else None
    return row


def _example_values(examples: Examples, index: int) -> Values:
    picture = data_uri(examples.pictures[index]) if examples.pictures else None
    return {"caption": examples.captions[index], "picture": picture}


def _draw_card(values: Values) -> str:
    badge = '<span class="badge shifted">flagged</span>'
    if not values["flagged"]:
        badge = '<span class="badge ok">in domain</span>'
    confidence = "" if values["confidence"] is None else f" · {values['confidence']:.0%} sure"
    score = "not finite" if values["score"] is None else f"{values['score']:.1f}"
    tags = "".join(f"<p class='note'>{escape(name)}: {escape(value)}</p>" for name, value in values["tags"].items())
    pictures = _draw_content(values) + _draw_example(values["example"])
    return (
        f'<article class="strange" title="{escape(values["id"])}"><div class="pictures">{pictures}</div>'
        f"<p><b>{escape(values['prediction'])}</b>{confidence}</p><p class='note'>OOD score {score} {badge}</p>{tags}"
        "</article>"
    )


def _draw_content(values: Values) -> str:
    if values["picture"]:
        return f'<img src="{values["picture"]}" alt="input predicted as {escape(values["prediction"])}">'
    if values["row"]:
        rows = (
            f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in values["row"].items()
        )
        return f"<table>{''.join(rows)}</table>"
    return '<span class="nothing">not kept</span>'


def _draw_example(example: Values | None) -> str:
    if example is None or example["picture"] is None:
        return ""
    caption = escape(example["caption"])
    return (
        f'<figure class="example"><img src="{example["picture"]}" alt="nearest training example, {caption}">'
        f"<figcaption>nearest: {caption}</figcaption></figure>"
    )


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
