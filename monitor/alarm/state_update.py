"""The alarms of one model from look to look: what is new in the record is judged, and their states are kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.alarm.sequential import SequentialAlarm
from monitor.alarm.streams import STREAMS, make_alarms, without_thin_classes
from monitor.reference.profile import Reference
from store.repositories.alarms import AlarmRecord
from store.repositories.predictions import RecordedStream
from store.repositories.runs import CheckResult, Verdict

Floats = npt.NDArray[np.float64]

# The name of the result that sequential alarms give beside the checks of a window.
CHANGE = "change"
# JSON has no infinity.
_LARGEST = 1e300


@dataclass(frozen=True)
class AlarmInputs:
    """What the alarms of one model go on from.

    `ranked_among` is the hash of the rows that they rank among, and `states` hold those alarms of the last look, by
    stream, that rank among these very rows; the others start anew. `arrived` are the predictions after
    `find_stream_start(states, …)` up to `until`, the end of this look. `promise` is N of all alarms of the model together.
    """

    model_sha256: str
    ranked_among: str
    states: Mapping[str, AlarmRecord]
    arrived: RecordedStream
    until: datetime
    promise: float


@dataclass(frozen=True)
class StreamState:
    """How far one alarm is, as people see it: it rings where `evidence` reaches `threshold`."""

    title: str
    evidence: float
    threshold: float
    seen: int
    firing: bool


@dataclass(frozen=True)
class AlarmAdvance:
    """What one look did: the states it began with, those to keep, and what it found under which promise."""

    states_before: Mapping[str, AlarmRecord]
    states_after: tuple[AlarmRecord, ...]
    result: CheckResult
    promise: float


def select_states(states: Mapping[str, AlarmRecord], ranked_among: str) -> dict[str, AlarmRecord]:
    """Those alarms that rank among these rows, and so go on."""
    return {name: record for name, record in states.items() if record.ranked_among == ranked_among}


def find_stream_start(states: Mapping[str, AlarmRecord], since: datetime) -> datetime:
    """Where the alarms with these states go on in the record; `since` where all of them start anew."""
    return min((record.judged_until for record in states.values()), default=since)


def advance_alarms(reference: Reference, inputs: AlarmInputs, *, back_to_normal: bool) -> AlarmAdvance:
    """Judge what has arrived since the last look. A promise once made is only ever raised, which keeps it.

    Args:
        reference: whose rows are ranked among.
        inputs: states of the last look and what has arrived since.
        back_to_normal: whether the window of this look shows nothing: a ringing alarm then starts again.
    """
    alarms = make_alarms(reference, inputs.promise, int(inputs.ranked_among[:8], 16))
    for name, new_alarm in alarms.items():
        alarm, was_firing = new_alarm, False
        if name in inputs.states:
            alarm = SequentialAlarm.from_json(inputs.states[name].state)
            alarm.arl = max(alarm.arl, new_alarm.arl)
            was_firing = alarm.firing
        if was_firing and back_to_normal:
            alarm.acknowledge()
        else:
            values = without_thin_classes(reference, _stream_values(name, inputs.arrived), inputs.arrived.class_indices)
            alarm.update(values[~np.isnan(values)])
        alarms[name] = alarm
    return AlarmAdvance(
        states_before=inputs.states,
        states_after=tuple(
            AlarmRecord(inputs.model_sha256, name, inputs.ranked_among, alarm.to_json(), inputs.until)
            for name, alarm in alarms.items()
        ),
        result=_result(alarms, inputs.promise),
        promise=inputs.promise,
    )


def _stream_values(name: str, arrived: RecordedStream) -> Floats:
    """The numbers of one stream, shape `(n,)`; NaN where a prediction has none."""
    stream = next(stream for stream in STREAMS if stream.name == name)
    classes = np.maximum(arrived.class_indices, 0)
    values = stream.values(arrived.scores, arrived.confidences, classes)
    assert values is not None
    return np.where(arrived.class_indices < 0, np.nan, values) if name == "class_mix" else values


def _stream_states(alarms: Mapping[str, SequentialAlarm]) -> dict[str, StreamState]:
    titles = {stream.name: stream.title for stream in STREAMS}
    return {
        name: StreamState(titles[name], min(alarm.evidence, _LARGEST), alarm.arl, alarm.seen, alarm.firing)
        for name, alarm in alarms.items()
    }


def _result(alarms: Mapping[str, SequentialAlarm], promise: float) -> CheckResult:
    streams = _stream_states(alarms)
    detail: dict[str, Any] = {
        "promise": promise,
        "streams": {name: asdict(stream) for name, stream in streams.items()},
    }
    strongest = max((alarm.evidence / alarm.arl for alarm in alarms.values()), default=0.0)
    firing = [stream.title for stream in streams.values() if stream.firing]
    if firing:
        verdict = Verdict.SHIFTED
        titles = " and ".join([", ".join(firing[:-1]), firing[-1]] if len(firing) > 1 else firing)
        sentence = (
            f"The stream of predictions has changed: {titles}. Without a change an alarm like this comes at most once "
            f"in {promise:,.0f} predictions."
        )
    else:
        verdict = Verdict.OK
        seen = max((stream.seen for stream in streams.values()), default=0)
        sentence = (
            f"No change in {seen:,} predictions one by one; evidence stands at {min(strongest, 1):.0%} of what rings."
        )
    return CheckResult(CHANGE, verdict, sentence, statistic=min(strongest, _LARGEST), detail=detail)
