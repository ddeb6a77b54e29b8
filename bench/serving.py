"""Serving beside peers: `python -m bench.serving [resnet18 digits tabular] [--seconds 5] [--rounds 2]`.

Requests a second, latency and memory of Tidegate with durable recording and OOD scoring, and without, beside FastAPI
around `learn.predict`, LitServe and BentoML, which do neither; and the limit: decoding and the forward pass alone.
Load comes from `wrk` (Debian) in another process. Contestants take turns, in alternating rounds.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import mean

import httpx

from bench.gateways.contestants import Contestant, Running, bentoml, litserve, predict, tidegate
from bench.gateways.learners import LEARNERS, Served
from bench.gateways.load import Load, load
from bench.tables import publish

CLIENTS = (1, 16, 64)
TIDEGATE = "Tidegate"
CONTESTANTS: dict[str, Callable[[Served], Contestant]] = {
    TIDEGATE: tidegate,
    "Tidegate, nothing scored": lambda served: tidegate(served, reference=False),
    "LitServe": litserve,
    "BentoML": bentoml,
    "FastAPI + learn.predict": predict,
}
COMMAND = "python -m bench.serving"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("learners", nargs="*", default=list(LEARNERS))
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--only", nargs="*", default=list(CONTESTANTS))
    arguments = options.parse_args()
    for name in arguments.learners:
        _measure(LEARNERS[name](), arguments.only, arguments.seconds, arguments.rounds)


@dataclass
class Measurements:
    """What was measured of one learner, in so many rounds of so many seconds.

    `loads` are by contestant and number of clients, `memory` in MB by contestant, `limits` in inputs a second by round, and
    `stages` the median time of each stage of a Tidegate request, in words.
    """

    seconds: float
    rounds: int
    loads: dict[str, dict[int, list[Load]]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    limits: list[float] = field(default_factory=list)
    stages: str = ""


def _measure(served: Served, only: list[str], seconds: float, rounds: int) -> None:
    measurements = Measurements(seconds, rounds)
    for turn in range(rounds):
        names = [name for name in CONTESTANTS if name in only]
        for name in names if turn % 2 == 0 else reversed(names):
            print(f"  {served.name}, round {turn + 1}: {name}", file=sys.stderr, flush=True)
            with CONTESTANTS[name](served).running(served) as running:
                for clients in CLIENTS:
                    measured = load(running.url, running.body, running.content_type, clients, seconds)
                    print(f"    {clients}: {measured}", file=sys.stderr, flush=True)
                    measurements.loads.setdefault(name, {}).setdefault(clients, []).append(measured)
                measurements.memory[name] = running.memory_mb()
                if name == TIDEGATE:
                    measurements.stages = _stages(running)
        measurements.limits.append(_limit(served, seconds))
    _publish(served, measurements)


def _limit(served: Served, seconds: float) -> float:
    """Inputs a second without HTTP, scoring and recording, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.gateways.limit", served.name, str(seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def _stages(running: Running, requests: int = 200) -> str:
    """The median time of each stage of a request, one client, in milliseconds."""
    headers = {"content-type": running.content_type, "tidegate-timing": "1"}
    timings = []
    with httpx.Client() as client:
        for _ in range(requests):
            answer = client.post(running.url, content=running.body, headers=headers)
            parts = (part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
            timings.append({name: float(value) for name, value in parts})
            time.sleep(0.002)
    middle = requests // 2
    return ", ".join(f"{name} {sorted(timing[name] for timing in timings)[middle]:.2f}" for name in timings[0])


def _publish(served: Served, measurements: Measurements) -> None:
    ours = measurements.loads.get(TIDEGATE)
    rows: list[list[object]] = []
    for name, by_clients in measurements.loads.items():
        speeds = {clients: mean(load.per_second for load in loads) for clients, loads in by_clients.items()}
        row: list[object] = [name, *(f"{speeds[clients]:,.1f}" for clients in CLIENTS)]
        row += [f"{mean(load.p50_ms for load in by_clients[clients]):.1f}" for clients in (1, 64)]
        row += [f"{mean(load.p99_ms for load in by_clients[64]):.1f}"]
        ratios = "" if ours is None else [_ratio(ours, speeds, clients) for clients in (16, 64)]
        row += [
            *ratios,
            f"{measurements.memory[name]:.0f}",
            sum(load.bad for loads in by_clients.values() for load in loads),
        ]
        rows.append(row)
    rows.append(
        ["the limit: decode and forward", "", f"{mean(measurements.limits):,.1f}", "", "", "", "", "", "", "", ""]
    )
    columns = ["", *(f"{clients} client{'s' if clients > 1 else ''}" for clients in CLIENTS)]
    columns += ["p50, 1", "p50, 64", "p99, 64", "Tidegate is faster, 16", "… 64", "memory", "bad"]
    note = (
        f"Requests a second by number of clients, mean of {measurements.rounds} alternating rounds of "
        f"{measurements.seconds:g} s each; latency in milliseconds; memory of all processes in MB (proportional set size); "
        "answers that were not 200. Tidegate records every prediction durably in SQLite before it answers and scores it; its "
        f"peers do neither. One request, one client, by stage, in milliseconds (medians): {measurements.stages}. The load "
        "generator runs on the same cores."
    )
    publish(f"serving-{served.name}", f"Serving: {served.name}", columns, rows, note, f"{COMMAND} {served.name}")


def _ratio(ours: dict[int, list[Load]], speeds: dict[int, float], clients: int) -> str:
    peer_speed = speeds[clients]
    return f"{mean(load.per_second for load in ours[clients]) / peer_speed:.1f} ×" if peer_speed else "no answer"


if __name__ == "__main__":
    main()
