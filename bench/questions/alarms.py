"""How often do they cry wolf, and how soon do they notice? Shift-free windows in a row, then a shift."""

import numpy as np
from scipy.special import softmax

from bench.ours import reference_of
from bench.peers.environments import ask
from bench.peers.evidently import drifted
from bench.sets import SETS, DomainSet, Rows
from bench.tables import publish
from tidegate import SequentialAlarm

WINDOWS = 1_000
PEER_WINDOWS = 200
# Seconds a window.
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
    one = SETS[SET]()
    # Exchangeable with the held-out rows: what is not among the first of them.
    calm = one.held_out.take(slice(REFERENCE_ROWS, None))
    rng = np.random.default_rng(0)
    places = rng.integers(len(calm), size=WINDOWS * ROWS)
    _false_alarms(one, calm, places)
    _delays(one)


def _false_alarms(one: DomainSet, calm: Rows, places: np.ndarray) -> None:
    reference = reference_of(one, REFERENCE_ROWS)
    scores = reference.score(calm.embeddings, calm.logits).score
    rows: list[tuple[object, ...]] = []
    for promise in PROMISES:
        alarm = SequentialAlarm(reference, arl=promise, rng=np.random.default_rng(1))
        rang = 0
        for window in np.split(scores[places], WINDOWS):
            if alarm.update(window):
                rang += 1
                alarm.acknowledge()
        said = f"at most {WINDOWS * ROWS // promise} on average"
        rows.append((f"Tidegate, one in {promise:,} promised", WINDOWS, rang, f"{rang / WINDOWS:.1%}", said))
    held_out = one.held_out.take(slice(0, REFERENCE_ROWS))
    table = _columns(reference.score(held_out.embeddings, held_out.logits).score, held_out)
    stream = _columns(scores[places], calm.take(places))
    fewer = stream[: EVIDENTLY_WINDOWS * ROWS]
    evidently = [drifted(table, window) for window in np.split(fewer, EVIDENTLY_WINDOWS)]
    parts = np.split(places[: EVIDENTLY_WINDOWS * ROWS], EVIDENTLY_WINDOWS)
    by_columns = [drifted(held_out.embeddings, calm.take(part).embeddings) for part in parts]
    question = {"what": "drift", "columns": list(COLUMNS), "size": ROWS}
    nannyml = ask("nannyml", {"reference": table, "stream": stream}, question)["alarms"]
    arrays = {
        "reference": held_out.embeddings,
        "reference_softmax": softmax(held_out.logits, axis=1).astype(np.float32),
        "calm|embeddings": calm.embeddings,
        "calm|softmax": softmax(calm.logits, axis=1).astype(np.float32),
    }
    windows = [[("calm", part.tolist())] for part in np.split(places[: PEER_WINDOWS * ROWS], PEER_WINDOWS)]
    detectors = ["alibi-detect KS on softmax", "alibi-detect KS on embeddings", "alibi-detect MMD"]
    alibi = ask("alibi", arrays, {"alpha": 0.05, "windows": windows, "detectors": detectors})["found"]
    found = {
        "Evidently preset on scores, confidence, prediction": evidently,
        "Evidently preset on embeddings": by_columns,
        "NannyML univariate drift on the same three": nannyml,
        **alibi,
    }
    for name, alarms in found.items():
        rows.append((name, len(alarms), int(np.sum(alarms)), f"{np.mean(alarms):.1%}", "none"))
    note = (
        f"Windows of {ROWS} rows drawn from held-out {SET}, none with a shift; every contestant at its defaults, looking "
        "after each window. A Tidegate alarm that rang is acknowledged and starts again."
    )
    publish("alarms", "Alarms without a shift", ["", "windows", "alarms", "share", "promise"], rows, note)


def _delays(one: DomainSet) -> None:
    reference = reference_of(one, 2_000)
    usual = reference.score(one.fresh.embeddings, one.fresh.logits).score
    unknown = one.ood[UNKNOWN]
    strange = reference.score(unknown.embeddings, unknown.logits).score
    rows: list[tuple[object, ...]] = []
    for share in SHARES:
        delays = []
        for repeat in range(DELAYS):
            rng = np.random.default_rng(repeat)
            stream = rng.choice(usual, LONGEST)
            hit = rng.uniform(size=LONGEST) < share
            stream[hit] = rng.choice(strange, int(hit.sum()))
            alarm = SequentialAlarm(reference, arl=10_000, rng=rng)
            alarm.update(stream)
            delays.append(LONGEST if alarm.since is None else alarm.since + 1)
        late = sum(delay == LONGEST for delay in delays)
        rows.append(
            (
                f"{share:.0%} {UNKNOWN} among {SET}",
                f"{np.median(delays):,.0f}",
                f"{np.quantile(delays, 0.9):,.0f}",
                late,
            )
        )
    note = f"Predictions until Tidegate's alarm rings, promise 10,000, {DELAYS} streams; `never` within {LONGEST:,}."
    publish("alarms-delays", "Delay of the sequential alarm", ["", "median", "90 %", "never"], rows, note)


def _columns(scores: np.ndarray, rows: Rows) -> np.ndarray:
    probabilities = softmax(rows.logits, axis=1)
    return np.column_stack([scores, probabilities.max(axis=1), probabilities.argmax(axis=1)])
