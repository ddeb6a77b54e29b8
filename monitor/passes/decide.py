"""The second step of a pass: what follows from a window, as a pure function. Nothing is read or written here."""

from dataclasses import dataclass, replace

import numpy as np

from monitor.alarm.state_update import AlarmAdvance, AlarmInputs, advance_alarms
from monitor.alerts.rules import AlertChange, derive_alert_changes
from monitor.checks import ACCURACY
from monitor.checks.verdict import Judgement, judge, no_verdict
from monitor.checks.window_comparison import WindowTest
from monitor.passes.evidence import Evidence, freeze_evidence
from monitor.passes.monitor_pass import Look, MonitorPass
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.seed import generator
from monitor.settings import MonitorSettings
from monitor.shift.input_groups import Group, KnownGroup, group_inputs
from store.clock import new_id
from store.repositories.alarms import AlarmRecord
from store.repositories.input_groups import GroupRecord
from store.repositories.predictions import RecordedWindow
from store.repositories.runs import RunRecord, Verdict


@dataclass(frozen=True)
class Decision:
    """What a pass has decided and is to be written down.

    `alert_changes` follow from the alerts that were read, `alarm_states` and `groups_to_save` are kept for the next
    window, and `evidence` is frozen if an alert fires. `test` and `groups`, the window's groups of new inputs, are for
    the report. `says_nothing_new` is True where the window got no verdict for the very reason and number of rows of the
    last run, as that of an idle model: then only the alarms' states are kept.
    """

    run: RunRecord
    evidence: Evidence
    test: WindowTest | None = None
    groups: tuple[Group, ...] = ()
    alert_changes: tuple[AlertChange, ...] = ()
    alarm_states: tuple[AlarmRecord, ...] = ()
    groups_to_save: tuple[GroupRecord, ...] = ()
    says_nothing_new: bool = False


@dataclass(frozen=True)
class WindowInputs:
    """What the numbers of a window follow from: the same inputs give the same numbers, in a pass and in a replay."""

    reference: Reference
    window: Window
    settings: MonitorSettings
    alert_alpha: float
    seed: str
    alarms: AlarmInputs | None


@dataclass(frozen=True)
class WindowFindings:
    """The judgement of a window, with the result of the alarms in it, and what the alarms did; None without alarms."""

    judgement: Judgement
    advance: AlarmAdvance | None = None


def decide(monitor_pass: MonitorPass) -> Decision:
    """Judge a window, and say what is to be written: the run, alerts, alarms, groups of new inputs, and evidence.

    Raises:
        BadInput: the recorded rows are not of the reference's learner.
    """
    look, late = monitor_pass.look, monitor_pass.late
    findings = _judge_pass(monitor_pass)
    judgement, advance = findings.judgement, findings.advance
    run = make_run(look, judgement)
    groups: tuple[Group, ...] = ()
    if late is None and judgement.test is not None:
        groups = group_flagged(look.recorded, monitor_pass.known_groups)
    return Decision(
        run=run,
        evidence=freeze_evidence(monitor_pass, run, advance),
        test=judgement.test,
        groups=groups,
        alert_changes=derive_alert_changes(monitor_pass.alerts, run) if monitor_pass.raises_alerts else (),
        alarm_states=() if advance is None else advance.states_after,
        groups_to_save=_groups_to_save(monitor_pass, groups),
        says_nothing_new=late is None and _says_nothing_new(run, monitor_pass.last_run),
    )


def judge_window(inputs: WindowInputs) -> WindowFindings:
    """Compare a window with the reference by all checks, and let the alarms judge what has arrived."""
    judgement = judge(
        inputs.reference,
        inputs.window,
        inputs.settings,
        # Apart from the randomness of sampling the window's rows.
        generator(f"{inputs.seed}/judge"),
        alert_alpha=inputs.alert_alpha,
    )
    if inputs.alarms is None:
        return WindowFindings(judgement)
    advance = advance_alarms(inputs.reference, inputs.alarms, back_to_normal=judgement.verdict is Verdict.OK)
    return WindowFindings(_with_alarms(judgement, advance), advance)


def make_run(look: Look, judgement: Judgement) -> RunRecord:
    """A new run: what was judged of which window, under which randomness."""
    test, recorded = judgement.test, look.recorded
    return RunRecord(
        id=new_id(),
        model_sha256=look.model.sha256,
        reference_sha256=look.model.reference_sha256,
        at=look.at,
        since=look.since,
        until=recorded.until,
        count=recorded.total,
        flagged=recorded.flagged_total,
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        seed=look.seed,
        results=judgement.results,
        compared_with=None if look.reference is None else look.reference.compared_with,
        cause=test.cause.value if test is not None and test.detected else None,
        accuracy_loss=next((result.effect for result in judgement.results if result.check == ACCURACY), None),
    )


def group_flagged(recorded: RecordedWindow, known_groups: tuple[GroupRecord, ...] = ()) -> tuple[Group, ...]:
    """The groups of new inputs among the flagged rows of a window; members are indices of its rows."""
    flagged = np.flatnonzero(recorded.flagged)
    known = [KnownGroup(record.number, record.centre, record.radius) for record in known_groups]
    groups = group_inputs(recorded.embeddings[flagged], known)
    return tuple(replace(group, members=flagged[group.members]) for group in groups)


def _judge_pass(monitor_pass: MonitorPass) -> WindowFindings:
    look = monitor_pass.look
    if look.comparison is None:
        if monitor_pass.reference_error is not None:
            return WindowFindings(no_verdict(Verdict.FAILED, monitor_pass.reference_error))
        return WindowFindings(
            no_verdict(
                Verdict.NOT_APPLICABLE,
                f"{look.model.name} has no reference to compare with. "
                f"Make one with `tidegate profile {look.model.name} --data TRAINING_DATA`, then serve again.",
            )
        )
    return judge_window(
        WindowInputs(
            reference=look.comparison.reference,
            window=Window.of_record(look.comparison.reference, look.recorded, look.records),
            settings=monitor_pass.settings,
            alert_alpha=monitor_pass.alert_alpha,
            seed=look.seed,
            alarms=monitor_pass.alarms,
        )
    )


def _with_alarms(judgement: Judgement, advance: AlarmAdvance) -> Judgement:
    results = (*judgement.results, advance.result)
    if advance.result.verdict is not Verdict.SHIFTED or judgement.verdict is Verdict.SHIFTED:
        return replace(judgement, results=results)
    # A window too small for a verdict of its own, or a change too slow for one.
    return replace(judgement, verdict=Verdict.SHIFTED, sentence=advance.result.sentence, results=results)


def _groups_to_save(monitor_pass: MonitorPass, groups: tuple[Group, ...]) -> tuple[GroupRecord, ...]:
    known = {record.number: record for record in monitor_pass.known_groups}
    return tuple(_group_record(monitor_pass.look, group, known.get(group.number)) for group in groups)


def _group_record(look: Look, group: Group, known: GroupRecord | None) -> GroupRecord:
    until, count = look.recorded.until, group.members.size
    if known is not None:
        # Centre and radius stay what it was first seen as: a group that drifts away becomes another.
        return replace(known, last_seen=until, count=known.count + count)
    return GroupRecord(
        id=new_id(),
        model_sha256=look.model.sha256,
        number=group.number,
        centre=group.centre,
        radius=group.radius,
        first_seen=until,
        last_seen=until,
        count=count,
    )


def _says_nothing_new(run: RunRecord, last: RunRecord | None) -> bool:
    if run.verdict.is_judged or last is None:
        return False
    return (last.verdict, last.count, last.sentence) == (run.verdict, run.count, run.sentence)
