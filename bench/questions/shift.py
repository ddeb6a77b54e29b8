"""Is production like training? Share of windows in which a shift is detected, by its kind and the window's size."""

import numpy as np
from scipy.special import softmax

from bench.ours import reference_of
from bench.peers.environments import ask
from bench.peers.evidently import drifted
from bench.sets import SETS, DomainSet, Rows
from bench.tables import publish
from bench.windows import NOTHING, SHIFTS, Window, draw, pools, rows_of
from tidegate import check_window

ALPHA = 0.05
REFERENCE_ROWS = 1_000
SIZES = (10, 20, 50, 100, 200, 500, 1_000)
PEER_SIZES = (20, 100, 500)
# They take seconds a window.
SLOW_REPEATS = 2
CHOSEN = {"clothing": "digits", "clothing, two classes held out": "class 6"}
OURS = "Tidegate"
ALIBI = ("KS on softmax", "KS on embeddings", "MMD", "classifier")

# Detections as lists of 0 and 1, by contestant, size and shift.
Found = dict[str, dict[tuple[int, str], list[int]]]


def run(repeats: int, peer_repeats: int) -> None:
    """Print power by shift and size for ours, and against peers."""
    found: Found = {}
    for name, unknown in CHOSEN.items():
        one = SETS[name]()
        pool = pools(one, unknown)
        windows = _windows(one, pool, repeats)
        _ours(one, pool, windows, found)
        fewer = {key: drawn[:peer_repeats] for key, drawn in windows.items() if key[0] in PEER_SIZES}
        _peers(one, pool, fewer, found)
    _publish(found, repeats, peer_repeats)


def _windows(one: DomainSet, pool: dict[str, Rows], repeats: int) -> dict[tuple[int, str], list[Window]]:
    return {
        (n, shift): [draw(one, pool, shift, n, np.random.default_rng([place, n, repeat])) for repeat in range(repeats)]
        for n in SIZES
        for place, shift in enumerate((NOTHING, *SHIFTS))
    }


def _ours(
    one: DomainSet,
    pool: dict[str, Rows],
    windows: dict[tuple[int, str], list[Window]],
    found: Found,
) -> None:
    reference = reference_of(one, REFERENCE_ROWS)
    for key, drawn in windows.items():
        for repeat, window in enumerate(drawn):
            rows = rows_of(pool, window)
            test = check_window(reference, rows.embeddings, rows.logits, alpha=ALPHA, rng=np.random.default_rng(repeat))
            found.setdefault(OURS, {}).setdefault(key, []).append(int(test.detected))


def _peers(
    one: DomainSet,
    pool: dict[str, Rows],
    windows: dict[tuple[int, str], list[Window]],
    found: Found,
) -> None:
    held_out = one.held_out.take(slice(0, REFERENCE_ROWS))
    arrays = {"reference": held_out.embeddings, "reference_softmax": _softmax(held_out)}
    for name, rows in pool.items():
        arrays |= {f"{name}|embeddings": rows.embeddings, f"{name}|softmax": _softmax(rows)}
    fewest = {key: drawn[:SLOW_REPEATS] for key, drawn in windows.items()}
    for peer, given in (("alibi", windows), ("torchdrift", fewest)):
        flat = [window for drawn in given.values() for window in drawn]
        question = {"alpha": ALPHA, "windows": flat, "detectors": [f"alibi-detect {kind}" for kind in ALIBI]}
        answer = ask(peer, arrays, question)
        for name, detections in answer["found"].items():
            _sort_in(found.setdefault(name, {}), given, detections)
    flat = [window for drawn in fewest.values() for window in drawn]
    detections = [int(drifted(held_out.embeddings, rows_of(pool, window).embeddings)) for window in flat]
    _sort_in(found.setdefault("Evidently preset", {}), fewest, detections)


def _sort_in(
    into: dict[tuple[int, str], list[int]], windows: dict[tuple[int, str], list[Window]], detections: list[int]
) -> None:
    start = 0
    for key, drawn in windows.items():
        into.setdefault(key, []).extend(detections[start : start + len(drawn)])
        start += len(drawn)


def _softmax(rows: Rows) -> np.ndarray:
    return softmax(rows.logits, axis=1).astype(np.float32)


def _publish(found: Found, repeats: int, peer_repeats: int) -> None:
    sets = " and ".join(f"{name} (unknown: {unknown})" for name, unknown in CHOSEN.items())
    rows = [(shift, *(float(np.mean(found[OURS][n, shift])) for n in SIZES)) for shift in (*SHIFTS, NOTHING)]
    rows.append(("mean of shifts", *(float(np.mean([found[OURS][n, s] for s in SHIFTS])) for n in SIZES)))
    note = (
        f"Share of windows called shifted at alpha {ALPHA}, by rows in the window; {repeats} windows each, on {sets}, "
        f"against {REFERENCE_ROWS:,} held-out rows. `{NOTHING}` is the rate of false positives."
    )
    publish("shift-ours", "Shift: power of Tidegate's window test", ["", *map(str, SIZES)], rows, note)
    against = []
    for name, by_key in found.items():
        mean = [float(np.mean([np.mean(by_key[n, s]) for s in SHIFTS])) for n in PEER_SIZES]
        null = float(np.mean([np.mean(by_key[n, NOTHING]) for n in PEER_SIZES]))
        each = [float(np.mean([np.mean(by_key[n, s]) for n in PEER_SIZES])) for s in SHIFTS]
        against.append((name, *mean, null, *each))
    note = (
        f"Mean share of windows called shifted at alpha {ALPHA} over the eight shifts, at n = 20, 100, 500; false positives "
        f"among windows without a shift; then by shift, mean over sizes. Ours on {repeats} windows each, "
        f"alibi-detect on {peer_repeats} of the same, Evidently and TorchDrift, which take long, on {SLOW_REPEATS}. "
        f"On {sets}, against {REFERENCE_ROWS:,} held-out rows. Peers at their "
        "defaults; Evidently's preset gets the embedding's dimensions as columns and has no error rate of its own."
    )
    columns = ["", "n = 20", "n = 100", "n = 500", "false positives", *SHIFTS]
    publish("shift", "Shift: power against peers", columns, against, note)
