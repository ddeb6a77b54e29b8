"""What does it cost? Time and memory of scoring, of a window's test, of fitting a million rows."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.peers.environments import ask
from bench.sets import SETS
from bench.tables import publish
from bench.tidegate_detector import reference_of
from monitor.checks.sums_comparison import check_sums
from monitor.reference.scorers import embedding_space, neighbours
from monitor.shift.window_sums import WindowSums
from tidegate import Reference, check_window, fit_reference

D, CLASSES = 512, 10


def run(repeats: int, peer_repeats: int) -> None:
    """Print one table."""
    rows = [*_in_process(_scoring), *_in_process(_window), *_in_process(_million), *_exactness()]
    if peer_repeats:
        rows += _in_process(_against_alibi)
    note = "Embeddings of 512 drawn like those of a network with a decaying spectrum. Memory is what the step adds."
    publish("cost", "Cost", ["", "measured", "target"], rows, note)


def _in_process(measure: Callable[[], list[tuple[str, str, str]]]) -> list[tuple[str, str, str]]:
    # A process of its own: the memory of one measurement is not another's.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure)


def _scoring() -> list[tuple[str, str, str]]:
    rng = np.random.default_rng(0)
    reference, rows, logits = _reference(rng)
    lines = []
    for size, target in ((32, "60 ms"), (256, "60 ms")):
        seconds = _time(lambda size=size: reference.score(rows[:size], logits[:size]))
        lines.append((f"score 1,000 inputs in batches of {size}", f"{seconds / size * 1e6:.0f} ms", target))
    seconds = _time(lambda: reference.score(rows[:1], logits[:1]))
    return [*lines, ("score a single input", f"{seconds * 1e3:.2f} ms", "2 ms")]


def _window() -> list[tuple[str, str, str]]:
    rng = np.random.default_rng(0)
    reference, _, _ = _reference(rng)
    rows, weights = _rows(10_000, rng), _weights()
    memory_before = _start_memory_measurement()
    first_seconds = _time(lambda: check_window(reference, rows, rows @ weights.T, rng=rng), repeats=1, warm=False)
    repeat_seconds = _time(lambda: check_window(reference, rows, rows @ weights.T, rng=rng), repeats=3, warm=False)
    memory = _memory_since(memory_before)
    sums = WindowSums.of(reference, reference.rows(rows, rows @ weights.T))
    sums_seconds = _time(lambda: check_sums(reference, sums))
    held_out = f"{len(reference.held_out):,}"
    return [
        (f"check_window, 10,000 against {held_out}, the first time", f"{first_seconds:.2f} s", "1 s"),
        ("the same again, scoring included", f"{repeat_seconds:.2f} s", "1 s"),
        ("check 10,000 predictions by their sums", f"{sums_seconds * 1e3:.0f} ms", "100 ms"),
        ("memory of check_window", f"{memory:.0f} MB", "500 MB"),
    ]


def _against_alibi() -> list[tuple[str, str, str]]:
    rng = np.random.default_rng(0)
    reference, _, _ = _reference(rng)
    rows, weights = _rows(10_000, rng), _weights()
    repeat_seconds = _time(lambda: check_window(reference, rows, rows @ weights.T, rng=rng), repeats=3)
    window = [[("window", list(range(len(rows))))]]
    arrays = {
        "reference": reference.held_out.embeddings,
        "reference_softmax": np.zeros((2, 2), np.float32),
        "window|embeddings": rows,
        "window|softmax": np.zeros((len(rows), 2), np.float32),
    }
    answer = ask("alibi", arrays, {"alpha": 0.05, "windows": window, "detectors": ["alibi-detect MMD"]})
    alibi = answer["seconds"]["alibi-detect MMD"]
    return [
        ("alibi-detect's MMD (100 permutations) on the same rows", f"{alibi:.1f} s", ""),
        ("times faster than alibi-detect's MMD", f"{alibi / repeat_seconds:.0f}", "10"),
    ]


def _million() -> list[tuple[str, str, str]]:
    rng = np.random.default_rng(0)
    n = 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.npy")
        training = np.lib.format.open_memmap(path, "w+", np.float16, (n, D))
        for start in range(0, n, 10_000):
            training[start : start + 10_000] = _rows(10_000, rng)
        training.flush()
        del training
        mapped = np.load(path, mmap_mode="r")
        labels = rng.integers(CLASSES, size=n)
        held_out = _rows(2_000, rng)
        memory_before = _start_memory_measurement()
        began = time.perf_counter()
        fit_reference(mapped, None, labels, calibration=(held_out, None, None), rng=rng)
        seconds = time.perf_counter() - began
        memory = _memory_since(memory_before)
    return [(f"fit 1,000,000 × {D} rows from a memory map", f"{seconds:.0f} s, {memory:.0f} MB", "1 GB")]


def _exactness() -> list[tuple[str, str, str]]:
    """How much AUROC is lost by the coreset and the fewer directions, compared with all rows in all directions."""
    defaults = neighbours.CORESET_ROWS, neighbours.CORESET_NUMBERS, neighbours.DIRECTIONS, embedding_space.DIRECTIONS
    lines = []
    for name, make in SETS.items():
        domain = make()
        fresh = domain.fresh.take(slice(0, 2_000))
        areas = []
        for exact in (False, True):
            if exact:
                neighbours.CORESET_ROWS, neighbours.CORESET_NUMBERS = neighbours.POOL_ROWS, 10**9
                neighbours.DIRECTIONS = embedding_space.DIRECTIONS = 10_000
            reference = reference_of(domain)
            usual = reference.score(fresh.embeddings, fresh.logits).score
            by_kind = [
                roc_auc_score(
                    np.r_[np.zeros(len(usual)), np.ones(len(rows))],
                    np.r_[usual, reference.score(rows.embeddings, rows.logits).score],
                )
                for rows in domain.ood.values()
            ]
            areas.append(float(np.mean(by_kind)))
            neighbours.CORESET_ROWS, neighbours.CORESET_NUMBERS, neighbours.DIRECTIONS, embedding_space.DIRECTIONS = (
                defaults
            )
        line = f"AUROC on {name}, as it is and with 20,000 rows in all directions"
        lines.append((line, f"{areas[0]:.3f}, {areas[1]:.3f}", "within .01"))
    return lines


def _reference(rng: np.random.Generator) -> tuple[Reference, np.ndarray, np.ndarray]:
    weights = _weights()
    training, held_out = _rows(50_000, rng), _rows(10_000, rng)
    logits = training @ weights.T
    reference = fit_reference(
        training,
        logits,
        logits.argmax(axis=1),
        calibration=(held_out, held_out @ weights.T, (held_out @ weights.T).argmax(axis=1)),
        head=(weights, np.zeros(CLASSES)),
        rng=rng,
    )
    return reference, held_out, held_out @ weights.T


def _rows(n: int, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.linspace(2, 0.2, D, dtype=np.float32)
    return np.maximum(rng.standard_normal((n, D), dtype=np.float32) * spectrum, 0)


def _weights() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((CLASSES, D), dtype=np.float32) / 20


def _time(call: Callable[[], object], repeats: int = 20, *, warm: bool = True) -> float:
    if warm:
        call()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def _start_memory_measurement() -> float:
    """Reset the peak of resident memory, and return what is held now, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("RssAnon")


def _memory_since(before: float) -> float:
    """How far the peak lies above `before`, in MB; pages of mapped files are not counted."""
    return _status("VmHWM") - _status("RssFile") - _status("RssShmem") - before


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1e3
