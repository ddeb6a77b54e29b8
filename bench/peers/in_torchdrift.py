"""TorchDrift's kernel MMD detector at its defaults."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch


def main() -> None:
    from torchdrift.detectors import KernelMMDDriftDetector

    arrays, question = np.load(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    detector = KernelMMDDriftDetector()
    detector.fit(torch.from_numpy(arrays["reference"]))
    detections, seconds = [], 0.0
    for window in question["windows"]:
        rows = np.concatenate([arrays[f"{pool}|embeddings"][row_indices] for pool, row_indices in window])
        began = time.perf_counter()
        with torch.no_grad():
            detections.append(int(float(detector.compute_p_value(torch.from_numpy(rows))) <= question["alpha"]))
        seconds += time.perf_counter() - began
    print(json.dumps({"detections": {"TorchDrift MMD": detections}, "seconds": {"TorchDrift MMD": seconds}}))


main()
