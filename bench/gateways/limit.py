"""Decoding and the forward pass in batches of 32, by the engine that Tidegate chose, without anything else."""

import sys
import time

from bench.gateways.learners import LEARNERS
from serving.engine.engine import Engine
from serving.engine.tuning import Tuning, tune, tuning_beside, use
from serving.learner.loading import load
from store.recording.prediction_batch import RawInput


def main() -> None:
    served = LEARNERS[sys.argv[1]]()
    engine = Engine(load(served.export))
    tuning = Tuning.load(tuning_beside(served.export), engine.loaded.sha256) or tune(engine, thorough=False)
    use(engine, tuning.chosen)
    content = served.content
    if served.kind == "tabular":
        import orjson

        content = orjson.dumps(orjson.loads(content)["rows"][0])
    raws = [RawInput(served.content_type, content)] * 32
    engine.predict(raws)
    end, predictions, began = time.perf_counter() + float(sys.argv[2]), 0, time.perf_counter()
    while time.perf_counter() < end:
        engine.predict(raws)
        predictions += len(raws)
    print(predictions / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
