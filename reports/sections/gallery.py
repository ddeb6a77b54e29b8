"""The strangest inputs of the window, each beside the training example nearest to it."""

from html import escape

import numpy as np
import orjson

from monitor.watch import Watched
from reports.pictures import data_uri, thumbnail_uri
from reports.sections.base import Record, Section, Values

INPUTS = 12
COLUMNS = 8


class Gallery(Section):
    name = "gallery"
    title = "The strangest inputs"
    lead = "The inputs furthest from training, and beside each the training example most like it to the learner."

    def values(self, watched: Watched, record: Record) -> Values | None:
        reference, recorded = watched.reference, watched.recorded
        if reference is None or not recorded.ids:
            return None
        # A score that is not finite was recorded as none, and is the strangest of all.
        scores = np.nan_to_num(recorded.scores, nan=np.inf)
        order = np.argsort(-scores, kind="stable")[:INPUTS]
        ids = [recorded.ids[place] for place in order]
        inputs = record.raw_inputs(ids)
        nearest = None if reference.examples is None else reference.examples.nearest(recorded.embeddings[order])
        shown = []
        for rank, place in enumerate(order):
            raw = inputs.get(recorded.ids[place])
            picture = thumbnail_uri(raw.content) if raw and raw.media_type.startswith("image/") else None
            row = orjson.loads(raw.content) if raw and raw.media_type == "application/json" else None
            example = None
            if reference.examples is not None and nearest is not None:
                at = int(nearest[rank])
                pictures = reference.examples.pictures
                example = {
                    "caption": reference.examples.captions[at],
                    "picture": data_uri(pictures[at]) if pictures else None,
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
                }
            )
        return {"inputs": shown, "kept": bool(inputs)}

    def draw(self, values: Values) -> str:
        cards = "".join(_card(one) for one in values["inputs"])
        note = "" if values["kept"] else "<p class='note'>The inputs themselves were not kept, or are forgotten.</p>"
        return f'<div class="gallery">{cards}</div>{note}'


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
