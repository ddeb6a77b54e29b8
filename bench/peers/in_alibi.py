"""alibi-detect's drift detectors at their defaults, on windows given by indices of rows in pools."""

import json
import logging
import sys
import time
from pathlib import Path

import numpy as np

logging.disable(logging.WARNING)


def main() -> None:
    from alibi_detect.cd import ClassifierDrift, KSDrift, MMDDrift
    from sklearn.linear_model import LogisticRegression

    arrays, question = np.load(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    reference, softmax = arrays["reference"], arrays["reference_softmax"]
    level = question["alpha"]
    detectors = {
        "alibi-detect KS on softmax": (KSDrift(softmax, p_val=level), "softmax"),
        "alibi-detect KS on embeddings": (KSDrift(reference, p_val=level), "embeddings"),
        "alibi-detect MMD": (MMDDrift(reference, backend="pytorch", p_val=level, n_permutations=100), "embeddings"),
        "alibi-detect classifier": (
            ClassifierDrift(
                reference,
                LogisticRegression(max_iter=200),
                p_val=level,
                backend="sklearn",
                n_folds=5,
                binarize_preds=False,
            ),
            "embeddings",
        ),
    }
    detectors = {name: pair for name, pair in detectors.items() if name in question["detectors"]}
    detections = {name: [] for name in detectors}
    seconds = dict.fromkeys(detectors, 0.0)
    for window in question["windows"]:
        rows = {
            kind: np.concatenate([arrays[f"{pool}|{kind}"][row_indices] for pool, row_indices in window])
            for kind in ("embeddings", "softmax")
        }
        for name, (detector, kind) in detectors.items():
            began = time.perf_counter()
            detections[name].append(int(detector.predict(rows[kind])["data"]["is_drift"]))
            seconds[name] += time.perf_counter() - began
    print(json.dumps({"detections": detections, "seconds": seconds}))


main()
