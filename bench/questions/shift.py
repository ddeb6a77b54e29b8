"""Is production like training? Share of windows in which a shift is detected, by its kind and the window's size."""

import numpy as np
from scipy.special import softmax

from bench.peers.environments import ask
from bench.peers.evidently import drifted
from bench.sets import SETS, DomainSet, Rows
from bench.tables import publish
from bench.tidegate_detector import reference_of
from bench.windows import NOTHING, SHIFTS, Window, draw, pools, rows_of
from tidegate import check_window

ALPHA = 0.05
REFERENCE_ROWS = 1_000
SIZES = (10, 20, 50, 100, 200, 500, 1_000)
PEER_SIZES = (20, 100, 500)
# Evidently and TorchDrift take seconds a window.
SLOW_REPEATS = 2
CHOSEN = {"clothing": "digits", "clothing, two classes held out": "class 6"}
OURS = "Tidegate"
ALIBI = ("KS on softmax", "KS on embeddings", "MMD", "classifier")

# Detections as lists of 0 and 1, by contestant, size and shift.
Detections = dict[str, dict[tuple[int, str], list[int]]]


def run(repeats: int, peer_repeats: int) -> None:
    """Print power by shift and size for ours, and against peers."""
    detections: Detections = {}
    for name, unknown in CHOSEN.items():
        domain = SETS[name]()
        pool = pools(domain, unknown)
        windows = _windows(domain, pool, repeats)
        _detect(domain, pool, windows, detections)
        peer_windows = {key: drawn[:peer_repeats] for key, drawn in windows.items() if key[0] in PEER_SIZES}
        _ask_peers(domain, pool, peer_windows, detections)
    _publish(detections, repeats, peer_repeats)


def _windows(domain: DomainSet, pool: dict[str, Rows], repeats: int) -> dict[tuple[int, str], list[Window]]:
    return {
        (n, shift): [
            draw(domain, pool, shift, n, np.random.default_rng([index, n, repeat])) for repeat in range(repeats)
        ]
        for n in SIZES
        for index, shift in enumerate((NOTHING, *SHIFTS))
    }


def _detect(
    domain: DomainSet,
    pool: dict[str, Rows],
    windows: dict[tuple[int, str], list[Window]],
    detections: Detections,
) -> None:
    reference = reference_of(domain, REFERENCE_ROWS)
    for key, drawn in windows.items():
        for repeat, window in enumerate(drawn):
            rows = rows_of(pool, window)
            test = check_window(reference, rows.embeddings, rows.logits, alpha=ALPHA, rng=np.random.default_rng(repeat))
            detections.setdefault(OURS, {}).setdefault(key, []).append(int(test.detected))


def _ask_peers(
    domain: DomainSet,
    pool: dict[str, Rows],
    windows: dict[tuple[int, str], list[Window]],
    detections: Detections,
) -> None:
    held_out = domain.held_out.take(slice(0, REFERENCE_ROWS))
    arrays = {"reference": held_out.embeddings, "reference_softmax": _softmax(held_out)}
    for name, rows in pool.items():
        arrays |= {f"{name}|embeddings": rows.embeddings, f"{name}|softmax": _softmax(rows)}
    slow_windows = {key: drawn[:SLOW_REPEATS] for key, drawn in windows.items()}
    for peer, asked_windows in (("alibi", windows), ("torchdrift", slow_windows)):
        flat = [window for drawn in asked_windows.values() for window in drawn]
        question = {"alpha": ALPHA, "windows": flat, "detectors": [f"alibi-detect {kind}" for kind in ALIBI]}
        answer = ask(peer, arrays, question)
        for name, flags in answer["detections"].items():
            _add_by_key(detections.setdefault(name, {}), asked_windows, flags)
    flat = [window for drawn in slow_windows.values() for window in drawn]
    drifts = [int(drifted(held_out.embeddings, rows_of(pool, window).embeddings)) for window in flat]
    _add_by_key(detections.setdefault("Evidently preset", {}), slow_windows, drifts)


def _add_by_key(
    by_key: dict[tuple[int, str], list[int]], windows: dict[tuple[int, str], list[Window]], flags: list[int]
) -> None:
    """Add the flags of all windows, in order, to the lists of their sizes and shifts."""
    start = 0
    for key, drawn in windows.items():
        by_key.setdefault(key, []).extend(flags[start : start + len(drawn)])
        start += len(drawn)


def _softmax(rows: Rows) -> np.ndarray:
    return softmax(rows.logits, axis=1).astype(np.float32)


def _publish(detections: Detections, repeats: int, peer_repeats: int) -> None:
    sets = " and ".join(f"{name} (unknown: {unknown})" for name, unknown in CHOSEN.items())
    rows = [(shift, *(float(np.mean(detections[OURS][n, shift])) for n in SIZES)) for shift in (*SHIFTS, NOTHING)]
    rows.append(("mean of shifts", *(float(np.mean([detections[OURS][n, s] for s in SHIFTS])) for n in SIZES)))
    note = (
        f"Share of windows called shifted at alpha {ALPHA}, by rows in the window; {repeats} windows each, on {sets}, "
        f"against {REFERENCE_ROWS:,} held-out rows. `{NOTHING}` is the rate of false positives."
    )
    publish("shift-ours", "Shift: power of Tidegate's window test", ["", *map(str, SIZES)], rows, note)
    peer_rows = []
    for name, by_key in detections.items():
        mean = [float(np.mean([np.mean(by_key[n, s]) for s in SHIFTS])) for n in PEER_SIZES]
        null = float(np.mean([np.mean(by_key[n, NOTHING]) for n in PEER_SIZES]))
        by_shift = [float(np.mean([np.mean(by_key[n, s]) for n in PEER_SIZES])) for s in SHIFTS]
        peer_rows.append((name, *mean, null, *by_shift))
    note = (
        f"Mean share of windows called shifted at alpha {ALPHA} over the eight shifts, at n = 20, 100, 500; false positives "
        f"among windows without a shift; then by shift, mean over sizes. Ours on {repeats} windows each, "
        f"alibi-detect on {peer_repeats} of the same, Evidently and TorchDrift, which take long, on {SLOW_REPEATS}. "
        f"On {sets}, against {REFERENCE_ROWS:,} held-out rows. Peers at their "
        "defaults; Evidently's preset gets the embedding's dimensions as columns and has no error rate of its own."
    )
    columns = ["", "n = 20", "n = 100", "n = 500", "false positives", *SHIFTS]
    publish("shift", "Shift: power against peers", columns, peer_rows, note)
