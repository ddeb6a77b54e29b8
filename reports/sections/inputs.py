"""Inputs as cards: the picture or row that was sent, what was predicted, and the training example most like it."""

from collections.abc import Sequence
from html import escape

import numpy as np
import orjson

from monitor.passes.monitor_pass import PassResult
from reports.pictures import data_uri, thumbnail_uri
from reports.sections.base import Record, Values
from store.recording.batches import RawInput

COLUMNS = 8
CHARACTERS = 400


def inputs_at(watched: PassResult, record: Record, places: Sequence[int]) -> list[Values]:
    """The inputs at these places of the window's rows, as plain values."""
    reference, recorded = watched.reference, watched.recorded
    if not len(places):
        return []
    inputs = record.raw_inputs([recorded.ids[place] for place in places])
    examples = None if reference is None else reference.examples
    nearest = None if examples is None else examples.nearest(recorded.embeddings[list(places)])
    shown = []
    for rank, place in enumerate(places):
        raw = inputs.get(recorded.ids[place])
        picture = thumbnail_uri(raw.content) if raw and raw.media_type.startswith("image/") else None
        row = None if raw is None else _row(raw)
        example = None
        if examples is not None and nearest is not None:
            at = int(nearest[rank])
            example = {
                "caption": examples.captions[at],
                "picture": data_uri(examples.pictures[at]) if examples.pictures else None,
            }
        shown.append(
            {
                "id": str(recorded.ids[place]),
                "prediction": recorded.predictions[place],
                "confidence": _or_none(recorded.confidences[place]),
                "score": _or_none(recorded.scores[place]),
                "p_value": _or_none(recorded.p_values[place]),
                "flagged": bool(recorded.flagged[place]),
                "picture": picture,
                "tags": {str(name): str(value) for name, value in recorded.tags[place].items()},
                "row": None if row is None else {str(name): row[name] for name in list(row)[:COLUMNS]},
                "example": example,
                "kept": raw is not None,
            }
        )
    return shown


def _row(raw: RawInput) -> Values | None:
    if raw.media_type == "text/plain":
        return {"text": raw.content.decode(errors="replace")[:CHARACTERS]}
    row: Values | None = orjson.loads(raw.content) if raw.media_type == "application/json" else None
    return row


def cards(inputs: Sequence[Values]) -> str:
    """A gallery of them."""
    if not inputs:
        return ""
    kept = any(one["kept"] for one in inputs)
    note = "" if kept else "<p class='note'>The inputs themselves were not kept, or are forgotten.</p>"
    return f'<div class="gallery">{"".join(_card(one) for one in inputs)}</div>{note}'


def _card(one: Values) -> str:
    mark = '<span class="badge shifted">flagged</span>' if one["flagged"] else '<span class="badge ok">in domain</span>'
    confidence = "" if one["confidence"] is None else f" · {one['confidence']:.0%} sure"
    score = "not finite" if one["score"] is None else f"{one['score']:.1f}"
    tags = "".join(f"<p class='note'>{escape(name)}: {escape(value)}</p>" for name, value in one["tags"].items())
    return (
        f'<article class="strange" title="{escape(one["id"])}"><div class="pictures">{_picture(one)}{_example(one)}</div>'
        f"<p><b>{escape(one['prediction'])}</b>{confidence}</p><p class='note'>OOD score {score} {mark}</p>{tags}</article>"
    )


def _picture(one: Values) -> str:
    if one["picture"]:
        return f'<img src="{one["picture"]}" alt="input predicted as {escape(one["prediction"])}">'
    if one["row"]:
        cells = (f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in one["row"].items())
        return f"<table>{''.join(cells)}</table>"
    return '<span class="nothing">not kept</span>'


def _example(one: Values) -> str:
    example = one["example"]
    if example is None or example["picture"] is None:
        return ""
    caption = escape(example["caption"])
    return (
        f'<figure class="example"><img src="{example["picture"]}" alt="nearest training example, {caption}">'
        f"<figcaption>nearest: {caption}</figcaption></figure>"
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
