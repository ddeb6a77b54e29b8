"""The alarms of one model from look to look: what is new in the record is judged, and the state is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.alarm.budget import Budget
from monitor.alarm.sequential import SequentialAlarm
from monitor.alarm.streams import STREAMS, alarms
from monitor.reference.profile import Reference
from store.repositories.alarms import AlarmRecord
from store.repositories.predictions import RecordedStream
from store.repositories.runs import CheckResult, Verdict

Floats = npt.NDArray[np.float64]

# The name of the result that sequential alarms give beside the checks of a window.
CHANGE = "change"


@dataclass(frozen=True)
class AlarmAdvance:
    """What one look did: the states to keep, those it began with, and what it found."""

    before: dict[str, AlarmRecord]
    after: tuple[AlarmRecord, ...]
    result: CheckResult


def advance_alarms(
    model_sha256: str,
    reference: Reference,
    ranked_among: str,
    known: dict[str, AlarmRecord],
    read: Callable[[datetime, datetime], RecordedStream],
    since: datetime,
    until: datetime,
    promise: float,
    back_to_normal: bool,
) -> AlarmAdvance:
    """Judge what has arrived since the last look.

    Args:
        model_sha256: of the model.
        reference: whose rows are ranked among.
        ranked_among: hash of these rows; alarms that rank among others start anew.
        known: states of the last look.
        read: gives the predictions after one instant up to another.
        since: where alarms that start anew begin.
        until: where this look ends.
        promise: N of all alarms of the model together. A promise once made is only ever raised, which keeps it.
        back_to_normal: whether the window of this look shows nothing: a ringing alarm then starts again.
    """
    known = {name: record for name, record in known.items() if record.ranked_among == ranked_among}
    fresh = alarms(reference, promise, int(ranked_among[:8], 16))
    judged_until = min((record.judged_until for record in known.values()), default=since)
    arrived = read(judged_until, until)
    after, states = [], {}
    for name, alarm in fresh.items():
        rang_before = False
        if name in known:
            threshold = alarm.arl
            alarm = SequentialAlarm.from_json(known[name].state)
            alarm.arl = max(alarm.arl, threshold)
            rang_before = alarm.firing
        if rang_before and back_to_normal:
            alarm.acknowledge()
        else:
            values = _values(name, arrived)
            usable = ~np.isnan(values)
            alarm.update(values[usable])
        states[name] = alarm
        after.append(AlarmRecord(model_sha256, name, ranked_among, alarm.to_json(), until))
    return AlarmAdvance(known, tuple(after), _result(states, arrived, known, promise))


def acknowledged(record: AlarmRecord) -> AlarmRecord:
    """The alarm started again from its baseline."""
    alarm = SequentialAlarm.from_json(record.state)
    alarm.acknowledge()
    return replace(record, state=alarm.to_json())


def _values(name: str, arrived: RecordedStream) -> Floats:
    stream = next(stream for stream in STREAMS if stream.name == name)
    classes = np.maximum(arrived.class_indices, 0)
    found = stream.values(arrived.scores, arrived.confidences, classes)
    assert found is not None
    return np.where(arrived.class_indices < 0, np.nan, found) if name == "class_mix" else found


def _result(
    states: dict[str, SequentialAlarm], arrived: RecordedStream, known: dict[str, AlarmRecord], promise: float
) -> CheckResult:
    titles = {stream.name: stream.title for stream in STREAMS}
    detail: dict[str, Any] = {
        "promise": promise,
        "alert": True,
        "streams": {
            name: {
                "title": titles[name],
                "evidence": min(alarm.evidence, 1e300),
                "threshold": alarm.arl,
                "seen": alarm.seen,
                "firing": alarm.firing,
            }
            for name, alarm in states.items()
        },
    }
    ringing = [titles[name] for name, alarm in states.items() if alarm.firing]
    strongest = max((alarm.evidence / alarm.arl for alarm in states.values()), default=0.0)
    if not ringing:
        seen = max((alarm.seen for alarm in states.values()), default=0)
        return CheckResult(
            CHANGE,
            Verdict.OK,
            f"No change in {seen:,} predictions one by one; evidence stands at {min(strongest, 1):.0%} of what rings.",
            statistic=min(strongest, 1e300),
            detail=detail,
        )
    what = " and ".join([", ".join(ringing[:-1]), ringing[-1]] if len(ringing) > 1 else ringing)
    return CheckResult(
        CHANGE,
        Verdict.SHIFTED,
        f"The stream of predictions has changed: {what}. Without a change an alarm like this comes at most once in "
        f"{promise:,.0f} predictions.",
        statistic=min(strongest, 1e300),
        detail=detail,
    )


def budget_of(days: float, models: int, looks_per_day: float) -> Budget:
    """The installation's budget; an installation without models yet has one to come."""
    return Budget(days, max(models, 1), looks_per_day)
