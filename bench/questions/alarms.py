"""How often is an alarm false, and how soon does it notice? Windows without a shift in a row, then a shift."""

import numpy as np
from scipy.special import softmax

from bench.peers.environments import ask
from bench.peers.evidently import drifted
from bench.sets import SETS, DomainSet, Rows
from bench.tables import publish
from bench.tidegate_detector import reference_of
from tidegate import SequentialAlarm

WINDOWS = 1_000
PEER_WINDOWS = 200
# Evidently takes seconds a window.
EVIDENTLY_WINDOWS = 30
ROWS = 100
REFERENCE_ROWS = 1_000
PROMISES = (10_000, 100_000)
SHARES = (0.01, 0.05, 0.20)
DELAYS = 50
LONGEST = 10_000
SET, UNKNOWN = "clothing", "digits"
COLUMNS = ("ood_score", "confidence", "prediction")


def run(repeats: int, peer_repeats: int) -> None:
    """Print false alarms against peers, and delays."""
    domain = SETS[SET]()
    # Exchangeable with the first held-out rows, which make the reference: the others.
    calm = domain.held_out.take(slice(REFERENCE_ROWS, None))
    rng = np.random.default_rng(0)
    row_indices = rng.integers(len(calm), size=WINDOWS * ROWS)
    _false_alarms(domain, calm, row_indices)
    _delays(domain)


def _false_alarms(domain: DomainSet, calm: Rows, row_indices: np.ndarray) -> None:
    reference = reference_of(domain, REFERENCE_ROWS)
    scores = reference.score(calm.embeddings, calm.logits).score
    rows: list[tuple[object, ...]] = []
    for promise in PROMISES:
        alarm = SequentialAlarm(reference, arl=promise, rng=np.random.default_rng(1))
        alarms = 0
        for window in np.split(scores[row_indices], WINDOWS):
            if alarm.update(window):
                alarms += 1
                alarm.acknowledge()
        promised = f"at most {WINDOWS * ROWS // promise} on average"
        rows.append((f"Tidegate, one in {promise:,} promised", WINDOWS, alarms, f"{alarms / WINDOWS:.1%}", promised))
    held_out = domain.held_out.take(slice(0, REFERENCE_ROWS))
    table = _columns(reference.score(held_out.embeddings, held_out.logits).score, held_out)
    stream = _columns(scores[row_indices], calm.take(row_indices))
    evidently_stream = stream[: EVIDENTLY_WINDOWS * ROWS]
    evidently = [drifted(table, window) for window in np.split(evidently_stream, EVIDENTLY_WINDOWS)]
    parts = np.split(row_indices[: EVIDENTLY_WINDOWS * ROWS], EVIDENTLY_WINDOWS)
    by_columns = [drifted(held_out.embeddings, calm.take(part).embeddings) for part in parts]
    question = {"what": "drift", "columns": list(COLUMNS), "size": ROWS}
    nannyml = ask("nannyml", {"reference": table, "stream": stream}, question)["alarms"]
    arrays = {
        "reference": held_out.embeddings,
        "reference_softmax": softmax(held_out.logits, axis=1).astype(np.float32),
        "calm|embeddings": calm.embeddings,
        "calm|softmax": softmax(calm.logits, axis=1).astype(np.float32),
    }
    windows = [[("calm", part.tolist())] for part in np.split(row_indices[: PEER_WINDOWS * ROWS], PEER_WINDOWS)]
    detectors = ["alibi-detect KS on softmax", "alibi-detect KS on embeddings", "alibi-detect MMD"]
    alibi = ask("alibi", arrays, {"alpha": 0.05, "windows": windows, "detectors": detectors})["detections"]
    by_peer = {
        "Evidently preset on scores, confidence, prediction": evidently,
        "Evidently preset on embeddings": by_columns,
        "NannyML univariate drift on the same three": nannyml,
        **alibi,
    }
    for name, alarms in by_peer.items():
        rows.append((name, len(alarms), int(np.sum(alarms)), f"{np.mean(alarms):.1%}", "none"))
    note = (
        f"Windows of {ROWS} rows drawn from held-out {SET}, none with a shift; every contestant at its defaults, looking "
        "after each window. A Tidegate alarm that rang is acknowledged and starts again."
    )
    publish("alarms", "Alarms without a shift", ["", "windows", "alarms", "share", "promise"], rows, note)


def _delays(domain: DomainSet) -> None:
    reference = reference_of(domain, 2_000)
    usual = reference.score(domain.fresh.embeddings, domain.fresh.logits).score
    unknown = domain.ood[UNKNOWN]
    strange = reference.score(unknown.embeddings, unknown.logits).score
    rows: list[tuple[object, ...]] = []
    for share in SHARES:
        delays = []
        for repeat in range(DELAYS):
            rng = np.random.default_rng(repeat)
            stream = rng.choice(usual, LONGEST)
            is_strange = rng.uniform(size=LONGEST) < share
            stream[is_strange] = rng.choice(strange, int(is_strange.sum()))
            alarm = SequentialAlarm(reference, arl=10_000, rng=rng)
            alarm.update(stream)
            delays.append(LONGEST if alarm.since is None else alarm.since + 1)
        never = sum(delay == LONGEST for delay in delays)
        rows.append(
            (
                f"{share:.0%} {UNKNOWN} among {SET}",
                f"{np.median(delays):,.0f}",
                f"{np.quantile(delays, 0.9):,.0f}",
                never,
            )
        )
    note = f"Predictions until Tidegate's alarm rings, promise 10,000, {DELAYS} streams; `never` within {LONGEST:,}."
    publish("alarms-delays", "Delay of the sequential alarm", ["", "median", "90 %", "never"], rows, note)


def _columns(scores: np.ndarray, rows: Rows) -> np.ndarray:
    probabilities = softmax(rows.logits, axis=1)
    return np.column_stack([scores, probabilities.max(axis=1), probabilities.argmax(axis=1)])
