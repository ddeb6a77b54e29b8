"""Texts: tokenized and numericalized by the learner's own steps."""

import threading
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import orjson

from serving.learner.adapters.base import Adapter, Collated, Item, Limits, collate_by_fastai, in_one_line
from serving.learner.decoding import decode_batch
from store.errors import BadInput, BadLearner
from store.recording.prediction_batch import RawInput

TOKENS = "application/vnd.tidegate.tokens+json"
_EXAMPLES = (
    "A short text.",
    "I liked it very much, and would see it again with friends; the second half above all.",
    "No.",
    "It was too long, too loud and too dark. " * 12,
)


class Text(Adapter):
    """A learner over texts."""

    application: ClassVar[str] = "text"
    takes: ClassVar[Literal["pictures", "rows", "texts"]] = "texts"
    fixed_steps: ClassVar[bool] = False

    def __init__(self, learner: Any, limits: Limits) -> None:
        self._maximum_characters = limits.maximum_characters
        self.decode_targets = decode_batch(learner)
        try:
            self._dl = learner.dls.test_dl([_EXAMPLES[0]], num_workers=0, bs=1)
            self._pipeline = self._dl.dataset.tls[0].tfms
            self._dl.one_batch()
        except BadLearner:
            raise
        except Exception as error:
            raise BadLearner(
                f"The learner's steps fail on a plain text: {type(error).__name__}: {in_one_line(error)}. "
                f"They are {in_one_line(learner.dls.valid_ds.tls[0].tfms)}."
            ) from error
        self._pad_chunk = _pad_chunk_step(self._dl)
        # Tokenizers keep caches that several threads must not write at once.
        self._lock = threading.Lock()

    @classmethod
    def serves(cls, learner: Any) -> bool:
        from fastai.data.core import Datasets
        from fastai.text.data import Numericalize

        dataset = learner.dls.valid_ds
        if not isinstance(dataset, Datasets) or not dataset.tls:
            return False
        return any(isinstance(step, Numericalize) for step in dataset.tls[0].tfms.fs)

    def decode(self, raw: RawInput) -> Item:
        if raw.media_type == TOKENS:
            with self._lock:
                return Item(self._dl.after_item((self._pipeline(orjson.loads(raw.content)),)))
        try:
            text = raw.content.decode()
        except UnicodeDecodeError as error:
            raise BadInput(f"The text is not UTF-8: {error}. Send it as UTF-8.") from error
        if not text.strip():
            raise BadInput("The text is empty. Send some words.")
        if len(text) > self._maximum_characters:
            raise BadInput(
                f"The text has {len(text):,} characters, and at most {self._maximum_characters:,} are taken. Send a part.",
                status=413,
            )
        with self._lock:
            return Item(self._dl.after_item((self._pipeline(text),)))

    def collate(self, items: Sequence[Item]) -> Collated:
        # fastai's recurrent models drop rows from the batch as texts end, and so want the longest first.
        lengths = np.array([len(item.content[0]) for item in items])
        order = np.argsort(-lengths, kind="stable")
        samples = [items[index].content for index in order]
        if self._pad_chunk is not None:
            samples = _pad_to_whole_chunks(samples, self._pad_chunk)
        return Collated(collate_by_fastai(self._dl, samples)[:1], order)

    def collate_alone(self, item: Item) -> Collated:
        # Padded to nothing: a model of another kind than fastai's own may see the padding.
        return Collated(collate_by_fastai(self._dl, [item.content])[:1])

    def fingerprint(self, item: Item) -> npt.NDArray[np.float32]:
        return np.asarray(item.content[0], np.float32)

    def examples(self) -> list[RawInput]:
        return [raw_text(text) for text in _EXAMPLES]

    def columns(self, raw: RawInput) -> dict[str, Any]:
        return {}


def raw_tokens(dataset: Any, item: Any) -> RawInput:
    """A training item as the tokens that the learner's own steps made of it: tables lose their texts when they are
    tokenized. No caller can send such."""
    from fastai.text.data import Numericalize

    for step in dataset.tls[0].tfms.fs:
        if isinstance(step, Numericalize):
            break
        item = step(item)
    return RawInput(TOKENS, orjson.dumps([str(token) for token in item]))


def raw_text(text: str) -> RawInput:
    """A text as the gateway receives it."""
    return RawInput("text/plain", text.encode())


def _pad_chunk_step(dl: Any) -> Any:
    """The step that pads texts to one length in chunks at their front; None where this loader has no such step."""
    from fastai.text.data import Pad_Chunk

    steps = list(dl.before_batch.fs)
    return steps[0] if len(steps) == 1 and type(steps[0]) is Pad_Chunk and steps[0].pad_first else None


def _pad_to_whole_chunks(samples: list[Any], step: Any) -> list[Any]:
    """Texts padded to a whole number of chunks.

    fastai pads to the longest text, and then takes the last hidden state from the wrong step for a text whose last chunk
    begins with padding: what its `get_preds` returns for a text differs by some hundredths with the other texts of the
    batch. With whole chunks every text gets the numbers of `Learner.predict`, whatever else is in the batch.
    """
    from fastai.text.data import pad_chunk

    size = step.seq_len
    length = -(-max(len(sample[0]) for sample in samples) // size) * size
    options = {"pad_idx": step.pad_idx, "pad_first": True, "seq_len": size, "pad_len": length}
    return [(pad_chunk(sample[0], **options), *sample[1:]) for sample in samples]
