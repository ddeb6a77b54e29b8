"""The inputs that a reference keeps: training examples to show beside strange ones, and held-out rows as columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from monitor.reference.profile_content import Examples
from monitor.shift.table_columns import record_of, records_of
from reports.pictures import thumbnail
from serving.engine.engine import Engine
from serving.learner.adapters.tabular import Tabular
from serving.learner.adapters.text import TOKENS
from serving.profiling.batch_inference import InferenceResults
from serving.profiling.labelled_data import LabelledInput
from store.recording.prediction_batch import RawInput

EXAMPLES = 1_000
COLUMN_ROWS = 2_000
CHARACTERS = 400
# fastai's own tokens, such as the mark of a text's beginning.
_SPECIAL = "xx"


def keep_examples(engine: Engine, results: InferenceResults, rng: np.random.Generator) -> Examples:
    """Training inputs drawn at random, as people look at them."""
    row_indices = draw_indices(len(results.inputs), EXAMPLES, rng)
    inputs = [results.inputs[row_index] for row_index in row_indices]
    is_vision = engine.adapter.takes == "pictures"
    return Examples(
        # Through float16, as the record keeps embeddings.
        embeddings=results.outputs.embedding[row_indices].astype(np.float16).astype(np.float32),
        captions=[labelled.name if labelled.label is None else labelled.label for labelled in inputs],
        pictures=[thumbnail(labelled.read().content) for labelled in inputs] if is_vision else [],
        contents=[] if is_vision else [_content_of(labelled.read()) for labelled in inputs],
    )


def keep_columns(engine: Engine, results: InferenceResults, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Held-out inputs drawn at random as columns; none of pictures, which are not read for it."""
    if engine.adapter.takes == "pictures":
        return []
    return records_of(labelled.read() for labelled in draw(results.inputs, COLUMN_ROWS, rng))


def known_categories(engine: Engine) -> dict[str, list[Any]]:
    """The values that a learner over tables knows of its columns of categories, as JSON holds them."""
    return engine.adapter.known_categories() if isinstance(engine.adapter, Tabular) else {}


def draw(inputs: Sequence[LabelledInput], at_most: int, rng: np.random.Generator) -> list[LabelledInput]:
    """So many of the inputs, in their order, drawn without replacement."""
    return [inputs[row_index] for row_index in draw_indices(len(inputs), at_most, rng)]


def draw_indices(count: int, at_most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Row indices in order, drawn without replacement."""
    return np.sort(rng.permutation(count)[:at_most])


def _content_of(raw: RawInput) -> dict[str, Any]:
    if raw.media_type == TOKENS:
        # Tables lose their texts when they are tokenized; the tokens are what is left of the words.
        words = (token for token in orjson.loads(raw.content) if not token.startswith(_SPECIAL))
        return {"text": " ".join(words)[:CHARACTERS]}
    if raw.media_type == "text/plain":
        return {"text": raw.content.decode(errors="replace")[:CHARACTERS]}
    return record_of(raw)
