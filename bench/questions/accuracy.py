"""Does a shift do harm? Mean absolute error of accuracy estimated without labels, chunk by chunk."""

import numpy as np
from scipy.special import softmax

from bench.peers.accuracy import estimates
from bench.peers.environments import ask
from bench.sets import SETS, Rows
from bench.tables import publish
from bench.tidegate_detector import reference_of
from tidegate import estimate_accuracy

OURS, CBPE = "Tidegate", "NannyML CBPE"


def run(repeats: int, peer_repeats: int) -> None:
    """Print one table of all sets."""
    errors: dict[str, dict[str, float]] = {}
    covered: dict[str, float] = {}
    names = [name for name, make in SETS.items() if make().shifted or make().periods]
    for name in names:
        domain = SETS[name]()
        chunks = {**domain.shifted, **domain.periods}
        truth = {chunk: float((rows.logits.argmax(axis=1) == rows.labels).mean()) for chunk, rows in chunks.items()}
        reference = reference_of(domain)
        ours = {chunk: estimate_accuracy(reference, rows.logits, rows.embeddings) for chunk, rows in chunks.items()}
        held_out = domain.held_out.take(slice(0, 2_000))
        by_method = {OURS: {chunk: estimate.value for chunk, estimate in ours.items()}, CBPE: _cbpe(held_out, chunks)}
        for chunk, rows in chunks.items():
            for method, value in estimates(held_out, rows).items():
                by_method.setdefault(method, {})[chunk] = value
        for method, values in by_method.items():
            gaps = [abs(values[chunk] - truth[chunk]) for chunk in chunks]
            errors.setdefault(method, {})[name] = float(np.mean(gaps))
        covered[name] = float(
            np.mean([estimate.low <= truth[chunk] <= estimate.high for chunk, estimate in ours.items()])
        )
    rows = [
        (method, *(by_set[name] for name in names), float(np.mean([by_set[name] for name in names])))
        for method, by_set in errors.items()
    ]
    rows.sort(key=lambda row: row[-1])
    shares = ", ".join(f"{name} {share:.0%}" for name, share in covered.items())
    note = (
        "Chunks: pictures under four corruptions at five levels, reviews of other sites, flights month by month. All "
        f"calibrated on the same 2,000 held-out rows. Chunks whose true accuracy lies in Tidegate's interval: {shares}."
    )
    publish("accuracy", "Accuracy without labels: mean absolute error", ["", *names, "mean"], rows, note)


def _cbpe(held_out: Rows, chunks: dict[str, Rows]) -> dict[str, float]:
    assert held_out.labels is not None
    arrays = {"reference|softmax": _softmax(held_out), "reference|labels": held_out.labels}
    arrays |= {f"{name}|softmax": _softmax(rows) for name, rows in chunks.items()}
    answer: dict[str, float] = ask("nannyml", arrays, {"what": "accuracy", "chunks": list(chunks)})
    return answer


def _softmax(rows: Rows) -> np.ndarray:
    return softmax(rows.logits.astype(np.float64), axis=1)
