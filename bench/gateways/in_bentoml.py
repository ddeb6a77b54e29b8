"""BentoML with adaptive batching; `bentoml serve` loads this file."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import bentoml
from PIL import Image  # noqa: F401

from bench.gateways.by_hand import ByHand

EXPORT, NAME = os.environ["BENCH_EXPORT"], os.environ["BENCH_NAME"]

if NAME == "tabular":

    @bentoml.service(traffic={"timeout": 60}, workers=1)
    class Served:
        def __init__(self) -> None:
            self.hand = ByHand(EXPORT, NAME)

        @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)
        def predict(self, rows: list[dict]) -> list[dict]:
            return self.hand.run([self.hand.row(row) for row in rows])

else:

    @bentoml.service(traffic={"timeout": 60}, workers=1)
    class Served:  # type: ignore[no-redef]
        def __init__(self) -> None:
            self.hand = ByHand(EXPORT, NAME)

        @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)
        def predict(self, file: list[Path]) -> list[dict]:
            return self.hand.run([self.hand.decode(path.read_bytes()) for path in file])
