"""Inputs as cards: the picture or row that was sent, what was predicted, and the training example most like it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape

import numpy as np
import orjson

from monitor.history.report_material import JudgedWindow, ReportMaterial
from monitor.reference.profile_content import Examples
from monitor.shift.row_differences import cell_words, differences, spreads_of
from monitor.shift.table_columns import is_number
from reports.pictures import data_uri, thumbnail_uri
from reports.sections.base import Values
from store.recording.prediction_batch import RawInput

COLUMNS = 8
CHARACTERS = 400
# The key of a text among the values of an input.
TEXT = "text"


def input_values(window: JudgedWindow, material: ReportMaterial, row_indices: Sequence[int]) -> list[Values]:
    """The inputs at these rows of the window, as plain values."""
    if not row_indices:
        return []
    recorded = window.recorded
    examples = None if window.reference is None else window.reference.examples
    spreads = {} if window.reference is None else spreads_of(window.reference.columns)
    nearest = None if examples is None else examples.nearest(recorded.embeddings[list(row_indices)])
    inputs = []
    for rank, row_index in enumerate(row_indices):
        raw = material.raw_inputs.get(recorded.ids[row_index])
        row = None if raw is None else _row(raw)
        example = (
            None
            if examples is None or nearest is None
            else _example_values(examples, int(nearest[rank]), window.model.classes)
        )
        inputs.append(
            {
                "id": str(recorded.ids[row_index]),
                "prediction": _answer(recorded.predictions[row_index], window.model.classes),
                "confidence": _finite_or_none(recorded.confidences[row_index]),
                "score": _finite_or_none(recorded.scores[row_index]),
                "p_value": _finite_or_none(recorded.p_values[row_index]),
                "flagged": bool(recorded.flagged[row_index]),
                "picture": thumbnail_uri(raw.content) if raw and raw.media_type.startswith("image/") else None,
                "tags": {str(name): str(value) for name, value in recorded.tags[row_index].items()},
                "row": None if row is None else {str(name): cell_words(row[name]) for name in list(row)[:COLUMNS]},
                "differences": _difference_values(row, example, spreads),
                "example": example,
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
    # Rows and texts need more room than pictures.
    wide = "" if any(values["picture"] for values in inputs) else " wide"
    return f'<div class="gallery{wide}">{"".join(_draw_card(values) for values in inputs)}</div>{note}'


def _row(raw: RawInput) -> Values | None:
    if raw.media_type == "text/plain":
        return {TEXT: raw.content.decode(errors="replace")[:CHARACTERS]}
    row: Values | None = orjson.loads(raw.content) if raw.media_type == "application/json" else None
    return row


def _answer(text: str, classes: Sequence[str]) -> str:
    """A prediction or a label as people read it: of a learner that predicts numbers, with the digits that matter."""
    try:
        value = text if classes else orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if isinstance(value, list) and value and all(map(is_number, value)):
        return ", ".join(cell_words(number) for number in value)
    return cell_words(value) if is_number(value) else text


def _example_values(examples: Examples, index: int, classes: Sequence[str]) -> Values:
    picture = data_uri(examples.pictures[index]) if examples.pictures else None
    content = examples.contents[index] if examples.contents else None
    return {"caption": _answer(examples.captions[index], classes), "picture": picture, "content": content}


def _difference_values(row: Values | None, example: Values | None, spreads: Mapping[str, float]) -> list[Values] | None:
    """In what a row differs from its nearest training row; None where they are no rows of a table."""
    other = None if example is None else example["content"]
    if row is None or other is None or TEXT in row:
        return None
    return [asdict(difference) for difference in differences(row, other, spreads, COLUMNS)]


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
    if values.get("differences") is not None:
        return _draw_differences(values["differences"], values["example"]["caption"])
    if values["row"] and TEXT in values["row"]:
        return f"<blockquote>{escape(str(values['row'][TEXT]))}</blockquote>"
    if values["row"]:
        rows = (
            f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in values["row"].items()
        )
        return f"<table>{''.join(rows)}</table>"
    return '<span class="nothing">not kept</span>'


def _draw_differences(found: Sequence[Values], caption: str) -> str:
    if not found:
        return "<p class='note'>The same values as a training row.</p>"
    rows = "".join(
        f"<tr><th>{escape(cell['column'])}</th><td>{escape(cell['value'])}</td><td>{escape(cell['other'])}</td></tr>"
        for cell in found
    )
    heads = f"<tr><th></th><th>this row</th><th>nearest in training: {escape(caption)}</th></tr>"
    return f"<table>{heads}{rows}</table>"


def _draw_example(example: Values | None) -> str:
    if example is None:
        return ""
    caption = escape(example["caption"])
    content = example.get("content") or {}
    if TEXT in content:
        return f"<p class='note'>nearest in training, {caption}:</p><blockquote>{escape(content[TEXT])}</blockquote>"
    if example["picture"] is None:
        return ""
    return (
        f'<figure class="example"><img src="{example["picture"]}" alt="nearest training example, {caption}">'
        f"<figcaption>nearest: {caption}</figcaption></figure>"
    )


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
