"""What must be true once the faults are over and everything has drained."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from sqlalchemy import func, select

from serving.engine.engine import Engine
from serving.learner.loading import load
from store.database.tables import CounterRow, InputRow, PredictionRow
from store.recording.embedding_codec import decode_embeddings
from store.recording.prediction_batch import RawInput
from store.store import Store
from tests.conftest import Trained
from tests.e2e.faults.traffic import Traffic


@dataclass(frozen=True)
class Findings:
    """What the record holds against what was answered."""

    answered: int
    stored: int
    missing: list[Any]
    twice: list[Any]
    never_issued: list[Any]
    different: list[str]
    tallied: int


def judge(store: Store, traffic: Traffic, trained: Trained) -> Findings:
    """Compare the record with every answer, by row."""
    with store.database.reading() as session:
        rows = session.scalars(select(PredictionRow)).all()
        inputs = {row.prediction_id: row.content for row in session.scalars(select(InputRow))}
        tallied = int(session.scalar(select(func.sum(CounterRow.count))) or 0)
    stored = {row.id: row for row in rows}
    issued = range(1, traffic.sent + 1)
    sent_tags = [(row.tags or {}).get("tag") for row in rows]
    different = [
        f"{id_}: {what}"
        for id_, answer in traffic.answers.items()
        if id_ in stored
        for what in _differences(stored[id_], inputs.get(id_), answer)
    ]
    different += _embeddings(trained, traffic, stored)
    return Findings(
        answered=len(traffic.answers),
        stored=len(rows),
        missing=[id_ for id_ in traffic.answers if id_ not in stored],
        twice=traffic.twice + ([] if len(stored) == len(rows) else ["an id is stored twice"]),
        never_issued=[tag for tag in sent_tags if tag not in issued],
        different=different,
        tallied=tallied,
    )


def _differences(row: PredictionRow, content: bytes | None, answer: Any) -> list[str]:
    said = answer.answer
    pairs = {
        "prediction": (row.prediction, said["prediction"]),
        "confidence": (row.confidence, said["confidence"]),
        "score": (row.ood_score, said["ood"]["score"]),
        "p-value": (row.ood_p_value, said["ood"]["p_value"]),
        "flagged": (row.flagged, said["ood"]["flagged"]),
        "tag": ((row.tags or {}).get("tag"), answer.tag),
        "input": (None if content is None else orjson.loads(content), answer.row),
    }
    return [f"{name} {kept!r} is not {told!r}" for name, (kept, told) in pairs.items() if kept != told]


def _embeddings(trained: Trained, traffic: Traffic, stored: dict[Any, PredictionRow]) -> list[str]:
    """The stored bytes against what the learner gives for what was sent."""
    engine = Engine(load(trained.export))
    answers = [(id_, answer) for id_, answer in traffic.answers.items() if id_ in stored]
    different = []
    for start in range(0, len(answers), 256):
        part = answers[start : start + 256]
        raws = [RawInput("application/json", orjson.dumps(answer.row)) for _, answer in part]
        expected = engine.run([engine.adapter.decode(raw) for raw in raws]).embedding
        kept = decode_embeddings([stored[id_].embedding for id_, _ in part])
        near = np.isclose(kept, expected, rtol=2e-3, atol=1e-4).all(axis=1)
        different += [f"{part[place][0]}: its embedding is not its input's" for place in np.flatnonzero(~near)]
    return different
