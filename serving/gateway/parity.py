"""Checks that a gateway preprocesses as the profiler did, by inputs stored in the reference with the result of each step."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.reference.profile_content import ParitySample
from serving.engine.engine import Engine
from store.errors import ModelMismatch
from store.recording.prediction_batch import RawInput

PARITY_SAMPLES = 4
TOLERANCE = 1e-4
_NUMBERS_PER_STEP = 1_024

# In the order of the pipeline: a description for people, and the largest difference allowed, in the step's own unit.
_STEPS = {
    "decode": ("decoding and item transforms (Pillow, resize)", 1.0),
    "batch": ("batch transforms (normalisation)", 1e-3),
    "embedding": ("the model up to the embedding", 1e-3),
    "logits": ("the model after the embedding", 1e-3),
    "outputs": ("the activation", TOLERANCE),
}


def make_parity_sample(engine: Engine, raw: RawInput) -> ParitySample:
    """Run one input alone, and store the result of each step of the pipeline."""
    item = engine.adapter.decode(raw)
    outputs = engine.run([item])
    final = outputs.logits if outputs.probabilities is None else outputs.probabilities
    steps = {
        "decode": _thin_out(engine.adapter.fingerprint(item)),
        "batch": _thin_out(np.concatenate([argument.ravel() for argument in engine.arguments([item])])),
        "embedding": _thin_out(outputs.embedding[0]),
        "logits": outputs.logits[0],
        "outputs": final[0],
    }
    return ParitySample(
        raw.media_type, raw.content, {name: np.asarray(value, np.float32) for name, value in steps.items()}
    )


def check_parity(engine: Engine, parity_samples: Sequence[ParitySample]) -> None:
    """Check that this gateway answers the stored inputs as the profiler did, within 1e-4.

    Raises:
        ModelMismatch: it does not; the message names the first step that differs.
    """
    for stored in parity_samples:
        computed = make_parity_sample(engine, RawInput(stored.media_type, stored.content))
        scale = 1.0 if engine.task.classes else max(1.0, float(np.abs(stored.steps["outputs"]).max()))
        gap = _largest_difference(stored.steps["outputs"], computed.steps["outputs"])
        if gap > TOLERANCE * scale:
            differing = next(
                (
                    description
                    for name, (description, tolerance) in _STEPS.items()
                    if _largest_difference(stored.steps[name], computed.steps[name]) > tolerance
                ),
                "the sum of small differences",
            )
            raise ModelMismatch(
                f"This gateway does not answer as the learner did when it was profiled: outputs differ by {gap:.2g}. "
                f"The first step that differs is {differing}. A library of another version is the usual cause: "
                "install the versions the learner was profiled with, or profile it again here and compare."
            )


def _largest_difference(stored: npt.NDArray[np.float32], computed: npt.NDArray[np.float32]) -> float:
    """Infinite where the shapes differ."""
    if stored.shape != computed.shape:
        return float("inf")
    return float(np.abs(stored.astype(np.float64) - computed).max(initial=0.0))


def _thin_out(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Evenly spaced numbers of these, at most 1,024."""
    step = max(1, -(-values.size // _NUMBERS_PER_STEP))
    return values[::step]
