"""What a learner's target is, as its data says; and which targets Tidegate does not serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from store.errors import BadLearner

TargetKind = Literal["one class", "several classes", "numbers", "mask"]


@dataclass(frozen=True)
class Target:
    """What is predicted for one input, with the classes it may be of."""

    kind: TargetKind
    classes: list[str]


def target_of(learner: Any) -> Target:
    """The target of a learner.

    Raises:
        BadLearner: it predicts what Tidegate does not serve; the message names it.
    """
    from fastai.data.core import Datasets
    from fastai.tabular.core import Tabular

    dataset = learner.dls.valid_ds
    if isinstance(dataset, Tabular):
        return _target_of_table(learner, dataset)
    _refuse_language_models(learner)
    if not isinstance(dataset, Datasets) or not dataset.tls:
        steps = getattr(dataset, "tfms", None)
        made_by = f", made by {steps}," if steps is not None else ""
        raise _not_served_error(
            "data sets of your own",
            f"this learner's data is a {type(dataset).__name__}{made_by} and does not say which part is the input. "
            "Make it with a `DataBlock` of one input block and one target block",
        )
    return _target_of_blocks(learner, dataset)


def _target_of_table(learner: Any, dataset: Any) -> Target:
    from fastai.data.transforms import Categorize, EncodedMultiCategorize, MultiCategorize

    names = list(dataset.y_names)
    if not names:
        raise _not_served_error("learners without a target", "this one's table names no column that is predicted")
    steps = [step for step in dataset.procs.fs if isinstance(step, Categorize)]
    if not steps:
        return Target("numbers", [])
    kind: TargetKind = (
        "several classes" if isinstance(steps[0], MultiCategorize | EncodedMultiCategorize) else "one class"
    )
    if kind == "one class" and len(names) > 1:
        raise _several_targets_error([str(name) for name in names])
    return Target(kind, _checked_classes(steps[0].vocab))


def _refuse_language_models(learner: Any) -> None:
    from fastai.text.data import LMDataLoader

    if isinstance(learner.dls.valid, LMDataLoader):
        raise _not_served_error(
            "language models",
            "this learner predicts the next word. Serve a classifier that is built on it: "
            "`text_classifier_learner(…).load_encoder(…)`",
        )


def _target_of_blocks(learner: Any, dataset: Any) -> Target:
    inputs, targets = dataset.tls[: learner.dls.n_inp], dataset.tls[learner.dls.n_inp :]
    types = types_of_parts(learner, dataset)
    if len(inputs) > 1:
        names = [_plain_name(kind) for kind in types[: len(inputs)]]
        raise _not_served_error("several inputs at once", f"this learner takes {len(inputs)} ({', '.join(names)})")
    if not targets:
        raise _not_served_error("learners without a target", "this one's data has inputs alone")
    target_types = types[len(inputs) :]
    for kind in target_types:
        _refuse_by_type(kind)
    if len(targets) > 1:
        raise _several_targets_error([_plain_name(kind) for kind in target_types])
    return _target_of_steps(learner, targets[0].tfms.fs, target_types[0])


def _target_of_steps(learner: Any, steps: Any, kind: type | None) -> Target:
    from fastai.torch_core import TensorMask, TensorMultiCategory
    from fastai.vision.core import AddMaskCodes, PILMask

    if kind is not None and issubclass(kind, TensorMask | PILMask):
        codes = next((step.codes for step in learner.dls.valid.after_item.fs if isinstance(step, AddMaskCodes)), None)
        return Target("mask", [] if codes is None else _checked_classes(codes))
    vocabulary = next((step.vocab for step in steps if getattr(step, "vocab", None)), None)
    if vocabulary is None:
        return Target("numbers", [])
    several = kind is not None and issubclass(kind, TensorMultiCategory)
    return Target("several classes" if several else "one class", _checked_classes(vocabulary))


def types_of_parts(learner: Any, dataset: Any) -> list[type | None]:
    """The kind of tensor that each part of an item becomes, inputs first; None where the data does not say."""
    types = getattr(learner.dls.valid, "_types", None) or getattr(learner.dls.train, "_types", None)
    of_batch = next(iter(types.values())) if isinstance(types, dict) and len(types) == 1 else None
    if of_batch is not None and len(of_batch) == len(dataset.tls):
        return [kind if isinstance(kind, type) else None for kind in of_batch]
    last = [(getattr(part, "types", None) or [None])[-1] for part in dataset.tls]
    return [kind if isinstance(kind, type) else None for kind in last]


def _refuse_by_type(kind: type | None) -> None:
    from fastai.text.data import TensorText
    from fastai.torch_core import TensorImageBase, TensorMask
    from fastai.vision.core import PILBase, PILMask, TensorBBox

    if kind is None or issubclass(kind, TensorMask | PILMask):
        return
    if issubclass(kind, TensorBBox):
        raise _not_served_error("object detection", "this learner predicts boxes")
    if issubclass(kind, TensorImageBase | PILBase):
        raise _not_served_error(
            "image generation", "this learner predicts a picture, as for super-resolution or colouring"
        )
    if issubclass(kind, TensorText):
        raise _not_served_error("text generation", "this learner predicts a text, as for translation")


def _checked_classes(vocabulary: Any) -> list[str]:
    if any(isinstance(entry, Sequence) and not isinstance(entry, str) for entry in vocabulary):
        raise _several_targets_error([])
    return [str(entry) for entry in vocabulary]


def _several_targets_error(names: list[str]) -> BadLearner:
    which = f" ({', '.join(names)})" if names else ", each with classes of its own"
    return _not_served_error(
        "several targets at once",
        f"this learner predicts {len(names) or 'several'}{which}. Export one learner for each",
    )


def _not_served_error(what: str, why: str) -> BadLearner:
    return BadLearner(f"Tidegate does not serve {what}: {why}.")


_PLAIN_NAMES = {
    "TensorImage": "picture",
    "TensorImageBW": "picture",
    "TensorText": "text",
    "TensorCategory": "class",
    "TensorMultiCategory": "classes",
    "TensorPoint": "points",
    "Tensor": "numbers",
}


def _plain_name(kind: type | None) -> str:
    return "something" if kind is None else _PLAIN_NAMES.get(kind.__name__, kind.__name__)
