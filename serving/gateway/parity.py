"""Proof that a gateway preprocesses as the profiler did: inputs kept with what each step made of them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.reference.content import ParitySample
from serving.engine.engine import Engine
from store.errors import ModelMismatch
from store.recording.batches import RawInput

PARITY_SAMPLES = 4
TOLERANCE = 1e-4
_NUMBERS_PER_STEP = 1_024

# In the order of the pipeline, with what each is called and the difference that counts, in the step's own unit.
_STEPS = {
    "decode": ("decoding and item transforms (Pillow, resize)", 1.0),
    "batch": ("batch transforms (normalisation)", 1e-3),
    "embedding": ("the model up to its last linear layer", 1e-3),
    "logits": ("the last linear layer", 1e-3),
    "outputs": ("the activation", TOLERANCE),
}


def parity_sample(engine: Engine, raw: RawInput) -> ParitySample:
    """Run one input alone and keep what each step made of it."""
    item = engine.adapter.decode(raw)
    outputs = engine.run([item])
    final = outputs.logits if outputs.probabilities is None else outputs.probabilities
    steps = {
        "decode": _thinned(engine.adapter.fingerprint(item)),
        "batch": _thinned(np.concatenate([argument.ravel() for argument in engine.arguments([item])])),
        "embedding": _thinned(outputs.embedding[0]),
        "logits": outputs.logits[0],
        "outputs": final[0],
    }
    return ParitySample(
        raw.media_type, raw.content, {name: np.asarray(value, np.float32) for name, value in steps.items()}
    )


def check_parity(engine: Engine, parity_samples: Sequence[ParitySample]) -> None:
    """See that this gateway answers the kept inputs as the profiler did, within 1e-4.

    Raises:
        ModelMismatch: it does not; the message names the first step that differs.
    """
    for kept in parity_samples:
        now = parity_sample(engine, RawInput(kept.media_type, kept.content))
        scale = 1.0 if engine.task.classes else max(1.0, float(np.abs(kept.steps["outputs"]).max()))
        gap = _gap(kept.steps["outputs"], now.steps["outputs"])
        if gap > TOLERANCE * scale:
            differing = next(
                (what for name, (what, allowed) in _STEPS.items() if _gap(kept.steps[name], now.steps[name]) > allowed),
                "the sum of small differences",
            )
            raise ModelMismatch(
                f"This gateway does not answer as the learner did when it was profiled: outputs differ by {gap:.2g}. "
                f"The first step that differs is {differing}. A library of another version is the usual cause: "
                "install the versions the learner was profiled with, or profile it again here and compare."
            )


def _gap(kept: npt.NDArray[np.float32], now: npt.NDArray[np.float32]) -> float:
    if kept.shape != now.shape:
        return float("inf")
    return float(np.abs(kept.astype(np.float64) - now).max(initial=0.0))


def _thinned(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    step = max(1, -(-values.size // _NUMBERS_PER_STEP))
    return values[::step]
