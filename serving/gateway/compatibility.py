"""Whether a reference may be used with a learner on this machine."""

from monitor.reference.profile import Reference
from serving.engine.engine import Engine
from serving.gateway.parity import check_parity
from store.errors import ModelMismatch


def check_compatible(engine: Engine, reference: Reference) -> None:
    """Check that a reference was made with this learner, and that this machine runs it as the profiler did.

    Raises:
        ModelMismatch: it was made with another one, or a step of the pipeline differs.
    """
    check_same_learner(engine, reference)
    check_parity(engine, reference.parity_samples)


def check_same_learner(engine: Engine, reference: Reference) -> None:
    """Check that a reference was made with this learner.

    Raises:
        ModelMismatch: it was made with another one.
    """
    origin, loaded = reference.origin, engine.loaded
    if origin is None:
        raise ModelMismatch(
            "The reference does not say which learner it is of. Make it with `tidegate profile` or `profile(learn)`."
        )
    if origin.learner_sha256 is not None and origin.learner_sha256 != loaded.sha256:
        same_weights = origin.weights_sha256 == loaded.weights_sha256
        again = " It has the same weights, so the learner was exported again." if same_weights else ""
        raise ModelMismatch(
            f"The reference is of the learner {origin.learner_sha256[:12]} ({origin.name}), and this one is "
            f"{(loaded.sha256 or 'in memory')[:12]}.{again} Make a reference of this learner: "
            "`tidegate profile export.pkl --data TRAINING_DATA`."
        )
    if origin.weights_sha256 != loaded.weights_sha256:
        raise ModelMismatch(
            f"The reference was made with other weights than this learner's ({origin.name}). "
            "Make it again: `tidegate profile export.pkl --data TRAINING_DATA`."
        )
