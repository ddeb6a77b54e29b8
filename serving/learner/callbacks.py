"""Whether a learner's own callbacks, or its own kind of learner, change what its model is given or returns.

`Learner.predict` runs callbacks around the model, and a gateway does not. Those of fastai change nothing at prediction; a
user's own may, and a learner whose answers would differ is refused.
"""

from collections.abc import Iterable
from typing import Any

from serving.learner.outputs import Floats32, array, numbers_agree
from store.errors import BadLearner

_TOLERANCE = 1e-4


def check_callbacks(learner: Any, batches: Iterable[tuple[tuple[Any, ...], Floats32]]) -> None:
    """See that a learner with callbacks of the user's own answers as its model does alone.

    Args:
        learner: the learner.
        batches: what its model is given for an input, and the logits that it returns; made only if they are needed.

    Raises:
        BadLearner: with its callbacks the learner returns something else; the message names them.
    """
    names = _own_code(learner)
    if not names:
        return
    if not type(learner).predict.__module__.startswith("fastai."):
        raise BadLearner(
            f"The learner is a {type(learner).__name__} with a `predict` of its own, and a gateway runs the model alone. "
            "Move what it does into the model, or into a transform of the target, and export again."
        )
    if any(_differs(learner, model_inputs, logits) for model_inputs, logits in batches):
        raise BadLearner(
            f"The learner's own {', '.join(names)} changes what its model is given or returns, and a gateway runs the model "
            "alone. Move that into the model, or into a transform of the data, and export again."
        )


def _differs(learner: Any, model_inputs: tuple[Any, ...], logits: Floats32) -> bool:
    try:
        with learner.no_bar(), learner.no_logging():
            raw = learner.get_preds(dl=[model_inputs], act=_unchanged, reorder=False)[0]
    except BadLearner:
        # A function that this Python can't run.
        raise
    except Exception:  # noqa: BLE001 - where they fail on a prediction, `Learner.predict` has no answer to differ from
        return False
    found = array(raw[0] if isinstance(raw, tuple | list) else raw).reshape(logits.shape[0], -1)
    return not numbers_agree(found, logits.reshape(logits.shape[0], -1), tolerance=_TOLERANCE)


def _own_code(learner: Any) -> list[str]:
    """The names of callbacks that are not fastai's, and of a kind of learner that is not."""
    kinds = [type(learner), *(type(callback) for callback in learner.cbs)]
    return [kind.__name__ for kind in kinds if not kind.__module__.startswith("fastai.")]


def _unchanged(outputs: Any) -> Any:
    return outputs
