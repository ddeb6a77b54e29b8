"""Which backend and how many threads run a learner fastest on this machine: measured, and saved beside the export.

A backend is used only if it answers as the learner's own modules do, on inputs of the adapter: logits and embeddings
within 1e-4 of their scale, and probabilities within 1e-4. One that is not meant to (bfloat16) is tried only where an
operator asks for it; how often it agrees is then measured on inputs that the operator names.
"""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import orjson
import torch

from serving.engine.backends import BACKENDS, Backend, NotEligible, Program
from serving.engine.backends.eager import Eager
from serving.engine.engine import Engine
from store.recording.prediction_batch import RawInput

TOLERANCE = 1e-4
# Long enough to see through one hiccup, short enough for every start.
_SECONDS_EACH = 0.25
_BATCH = 16


@dataclass(frozen=True)
class Trial:
    """One backend with one number of threads: milliseconds an input, alone and in a batch of 16; or why it is not used."""

    backend: str
    threads: int
    alone_ms: float | None
    batched_ms: float | None
    refused: str | None = None

    @property
    def saved_by_batching_seconds(self) -> float:
        """What a pass costs whatever it holds, which an input that joins another's pass saves."""
        if self.alone_ms is None or self.batched_ms is None:
            return 0.0
        return max(0.0, self.alone_ms - self.batched_ms) * _BATCH / (_BATCH - 1) / 1e3

    @property
    def cost(self) -> float:
        """What is minimised: a client alone and a full house count alike."""
        if self.alone_ms is None or self.batched_ms is None:
            return float("inf")
        return float(np.sqrt(self.alone_ms * self.batched_ms))


@dataclass(frozen=True)
class Tuning:
    """What was measured for one learner on one machine, the choice first."""

    sha256: str
    machine: str
    trials: list[Trial]

    @property
    def chosen(self) -> Trial:
        return self.trials[0]

    def within(self, maximum_threads: int) -> Trial:
        """The fastest trial with at most these threads, for processes that share the cores."""
        return next((trial for trial in self.trials if trial.threads <= maximum_threads), self.chosen)

    @classmethod
    def load(cls, path: Path, sha256: str | None) -> "Tuning | None":
        """What was saved, if it is of this learner, this machine and these libraries; else None."""
        try:
            document = orjson.loads(path.read_bytes())
            tuning = cls(document["sha256"], document["machine"], [Trial(**trial) for trial in document["trials"]])
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            return None
        return tuning if tuning.sha256 == sha256 and tuning.machine == machine() and tuning.trials else None

    def save(self, path: Path) -> None:
        """Save it; where the folder can't be written to, the next start measures again."""
        try:
            path.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n")
        except OSError:
            return


def tuning_beside(export: Path) -> Path:
    """The file that holds the tuning of an export."""
    return export.with_suffix(".tuning.json")


def machine() -> str:
    """What a choice depends on beside the learner: processor, cores, and the versions of what runs it."""
    versions = []
    for package in ("torch", "onnxruntime", "openvino"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{_processor()}, {cores()} cores, " + ", ".join(versions)


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tune(
    engine: Engine,
    inputs: Sequence[RawInput] = (),
    *,
    thorough: bool,
    approximate: bool = False,
    seconds_each: float = _SECONDS_EACH,
) -> Tuning:
    """Measure every backend that is eligible, with one thread and with more.

    Args:
        engine: runs the learner; its backend stays as it is.
        inputs: typical ones to measure with.
        thorough: also try backends that take long to make.
        approximate: also try backends that are not meant to give the learner's own numbers.
        seconds_each: how long each is measured.
    """
    program = engine.program(inputs)
    trials = [
        _measure(engine, program, kind, threads, seconds_each)
        for kind in BACKENDS
        if (thorough or kind.quick) and (approximate or kind.exact)
        for threads in _thread_counts(engine.device)
    ]
    ordered = sorted(trials, key=lambda trial: trial.cost)
    return Tuning(engine.loaded.sha256 or "", machine(), ordered)


def use(engine: Engine, trial: Trial, inputs: Sequence[RawInput] = ()) -> None:
    """Run the engine by a chosen backend from now on.

    Raises:
        NotEligible: it can't run here after all, or does not answer as the learner does.
    """
    kind = next(kind for kind in BACKENDS if kind.name == trial.backend)
    program = engine.program(inputs)
    engine.backend = _checked_backend(engine, program, kind, trial.threads)


@dataclass(frozen=True)
class Agreement:
    """How a backend's answers compare with the learner's own over n inputs.

    `same` is the share of equal predictions, None for learners that predict numbers; `largest` the largest difference of
    a probability, or of a number.
    """

    n: int
    same: float | None
    largest: float

    @property
    def sentence(self) -> str:
        same = "" if self.same is None else f"the same prediction for {self.same:.2%} of them, "
        return f"On {self.n:,} inputs: {same}and numbers that differ by {self.largest:.2g} at most."


def agreement(engine: Engine, trial: Trial, inputs: Sequence[RawInput]) -> Agreement:
    """Measure how a chosen backend agrees with the learner's own modules.

    Raises:
        NotEligible: it can't run here after all.
    """
    original_backend = engine.backend
    same_count, largest, n = 0, 0.0, 0
    try:
        use(engine, trial)
        chosen_backend = engine.backend
        for start in range(0, len(inputs), _BATCH):
            items = [engine.adapter.decode(raw) for raw in inputs[start : start + _BATCH]]
            engine.backend = engine.own
            own = engine.run(items)
            engine.backend = chosen_backend
            chosen = engine.run(items)
            same_count += sum(a == b for a, b in zip(own.predictions, chosen.predictions, strict=True))
            own_numbers, chosen_numbers = (
                outputs.logits if outputs.probabilities is None else outputs.probabilities for outputs in (own, chosen)
            )
            largest = max(largest, float(np.abs(own_numbers - chosen_numbers).max(initial=0.0)))
            n += len(items)
    finally:
        engine.backend = original_backend
    return Agreement(n, same_count / n if engine.task.classes and n else None, largest)


def _measure(engine: Engine, program: Program, kind: type[Backend], threads: int, seconds: float) -> Trial:
    try:
        backend = _checked_backend(engine, program, kind, threads)
    except NotEligible as error:
        return Trial(kind.name, threads, None, None, str(error))
    alone = tuple(argument[:1] for argument in program.examples[0])
    batch = tuple(torch.cat([argument] * _BATCH) for argument in alone)
    try:
        alone_ms, batched_ms = _milliseconds(backend, alone, seconds), _milliseconds(backend, batch, seconds) / _BATCH
    except Exception as error:
        if kind is Eager:
            raise
        return Trial(kind.name, threads, None, None, _failure(error))
    return Trial(kind.name, threads, alone_ms, batched_ms)


def _checked_backend(engine: Engine, program: Program, kind: type[Backend], threads: int) -> Backend:
    """A backend that answers the program's examples as the learner's own modules do, where it is meant to.

    Raises:
        NotEligible: it can't run here, fails on an example, or answers something else.
    """
    backend = kind(program, threads, engine.device)
    try:
        difference = _difference(engine, program, backend)
    except Exception as error:
        if kind is Eager:
            raise
        # A trace can take for constant what depends on the number of inputs.
        raise NotEligible(_failure(error)) from error
    if difference is not None and kind.exact:
        raise NotEligible(difference)
    return backend


def _failure(error: Exception) -> str:
    said = str(error).strip().splitlines() or [""]
    return f"it fails on an example: {type(error).__name__}: {said[0]}"


def _difference(engine: Engine, program: Program, backend: Backend) -> str | None:
    """How a backend's answers differ from the learner's own modules'; None where they agree."""
    for example in program.examples:
        expected, actual = engine.own.run(example), backend.run(example)
        for name, own, other in zip(("logits", "embeddings"), expected, actual, strict=True):
            if own.shape != other.shape:
                return f"{name} come out as {other.shape}, not {own.shape}"
            scale = max(1.0, float(np.abs(own).max(initial=0.0)))
            difference = float(np.abs(own - other).max(initial=0.0))
            # Written so that NaN fails.
            if not difference <= TOLERANCE * scale:
                return f"{name} differ by {difference:.2g}"
        own_probabilities, probabilities = (engine.task.probabilities(logits) for logits, _ in (expected, actual))
        if own_probabilities is not None and probabilities is not None:
            difference = float(np.abs(own_probabilities - probabilities).max(initial=0.0))
            if not difference <= TOLERANCE:
                return f"probabilities differ by {difference:.2g}"
    return None


def _milliseconds(backend: Backend, arguments: tuple[torch.Tensor, ...], seconds: float) -> float:
    """The median time of one run. The first few, which warm up, do not count."""
    for _ in range(2):
        backend.run(arguments)
    return float(np.median(list(_run_times(backend, arguments, seconds)))) * 1e3


def _run_times(backend: Backend, arguments: tuple[torch.Tensor, ...], seconds: float) -> Iterator[float]:
    """Seconds of each run, until the time is up and at least three were made."""
    end = time.perf_counter() + seconds
    for run in range(1_000):
        began_at = time.perf_counter()
        backend.run(arguments)
        yield time.perf_counter() - began_at
        if run >= 2 and time.perf_counter() > end:
            return


def _thread_counts(device: str) -> list[int]:
    return sorted({1, cores()}) if device == "cpu" else [1]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
