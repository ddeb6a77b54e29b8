"""Clients that post inputs, each with a tag of its own, and remember every answer."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx


@dataclass(frozen=True)
class Answer:
    """One prediction that was answered: its tag, what was sent, and what came back."""

    tag: int
    row: dict[str, Any]
    answer: dict[str, Any]


@dataclass
class Traffic:
    """`clients` threads that ask `addresses` in turn until stopped."""

    addresses: list[str]
    rows: list[dict[str, Any]]
    clients: int
    seed: int
    answers: dict[UUID, Answer] = field(default_factory=dict)
    twice: list[UUID] = field(default_factory=list)
    refused: int = 0
    sent: int = 0
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(place,), daemon=True) for place in range(self.clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def _ask(self, place: int) -> None:
        rng = random.Random(self.seed * 1_000 + place)
        with httpx.Client(timeout=30) as client:
            while not self._stopped.is_set():
                row = dict(rng.choice(self.rows))
                # No two inputs are alike, so that an answer can't be taken for another's.
                row["mean_texture"] = round(10 + 20 * rng.random(), 6)
                with self._lock:
                    self.sent += 1
                    tag = self.sent
                self._post(client, rng.choice(self.addresses), tag, row)

    def _post(self, client: httpx.Client, address: str, tag: int, row: dict[str, Any]) -> None:
        began = time.monotonic()
        try:
            response = client.post(f"{address}/v1/predict", json={"rows": [row], "tags": {"tag": tag}})
        except httpx.HTTPError:
            time.sleep(0.1)
            return
        with self._lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            if response.status_code != 200:
                self.refused += 1
            else:
                (one,) = response.json()["predictions"]
                id_ = UUID(one["id"])
                if id_ in self.answers:
                    self.twice.append(id_)
                self.answers[id_] = Answer(tag, row, one)
        if response.status_code != 200:
            time.sleep(0.1)
