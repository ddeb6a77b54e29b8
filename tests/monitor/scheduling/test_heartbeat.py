"""The watch over the watchers, and what people are told of the installation."""

import time
from datetime import timedelta

from monitor.alerts.system_alerts import check_installation
from monitor.scheduling.heartbeat import Heartbeat
from monitor.settings import MonitorSettings
from store.clock import utc_now
from store.repositories.alerts import AlertState
from store.repositories.processes import ProcessKind, ProcessRepository
from store.store import Store
from tests.e2e.harness import wait_for
from tests.monitor.receiver import receiving

SETTINGS = MonitorSettings(silent_seconds=0.3, destinations=["log"])


def test_a_process_is_seen_while_it_beats_and_not_missed_once_it_has_ended(store: Store) -> None:
    heartbeat = Heartbeat(store, SETTINGS, ProcessKind.GATEWAY, lambda: {"unrecorded": 0})
    with heartbeat.beating():
        wait_for(lambda: bool(store.processes.all()), "the first beat", 3)
        (process,) = store.processes.all()
        assert (process.kind, process.state) == (ProcessKind.GATEWAY, {"unrecorded": 0})
    assert store.processes.all() == []


def test_people_are_told_when_the_monitor_has_stopped_and_when_it_is_back(store: Store) -> None:
    processes = ProcessRepository(store.database)
    check_installation(store, SETTINGS)
    assert store.system_alerts.all() == []
    processes.record_heartbeat(ProcessKind.MONITOR, {})
    check_installation(store, SETTINGS)
    assert store.system_alerts.all() == []
    time.sleep(0.4)
    with receiving() as receiver:
        settings = settings_that_tell(receiver.address)
        for _ in range(3):
            check_installation(store, settings)
        (notice,) = store.system_alerts.all(AlertState.FIRING)
        assert notice.subject == "monitor"
        assert "start `tidegate monitor` again" in notice.sentence
        assert [body["data"]["title"] for body in receiver.bodies] == ["The monitor has stopped"]
        processes.record_heartbeat(ProcessKind.MONITOR, {})
        check_installation(store, settings)
        assert store.system_alerts.all(AlertState.FIRING) == []
        assert receiver.bodies[-1]["type"] == "tidegate.alert.resolved"
        assert receiver.bodies[0]["id"] != receiver.bodies[1]["id"]


def settings_that_tell(url: str) -> MonitorSettings:
    return SETTINGS.model_copy(update={"destinations": [url]})


def test_a_monitor_that_ends_as_it_was_told_is_not_missed(store: Store) -> None:
    processes = ProcessRepository(store.database)
    processes.record_heartbeat(ProcessKind.MONITOR, {})
    processes.record_end()
    time.sleep(0.4)
    check_installation(store, SETTINGS)
    assert store.system_alerts.all() == []


def test_unrecorded_predictions_and_spools_in_need_are_told_of(store: Store) -> None:
    for unrecorded, spool in ((0, None), (40, "The spool is 60% full."), (2, None)):
        ProcessRepository(store.database).record_heartbeat(
            ProcessKind.GATEWAY, {"unrecorded": unrecorded, "spool": spool}
        )
    check_installation(store, SETTINGS)
    sentences = {notice.subject: notice.sentence for notice in store.system_alerts.all(AlertState.FIRING)}
    assert sentences["recording"].startswith("42 predictions were answered without being recorded")
    assert sentences["spool"] == "The spool is 60% full."


def test_a_destination_that_fails_is_tried_again_and_the_others_not(store: Store) -> None:
    ProcessRepository(store.database).record_heartbeat(ProcessKind.GATEWAY, {"unrecorded": 1})
    with receiving(500) as receiver:
        check_installation(store, SETTINGS.model_copy(update={"destinations": ["log", receiver.address]}))
        (notice,) = store.system_alerts.all(AlertState.FIRING)
        assert notice.owed == [receiver.address]
        assert notice.due_at > utc_now() + timedelta(seconds=5)
        assert notice.attempts == 1


def test_a_monitor_gets_time_to_start_again_with_its_machine(store: Store) -> None:
    ProcessRepository(store.database).record_heartbeat(ProcessKind.MONITOR, {})
    time.sleep(0.4)
    check_installation(store, SETTINGS, watched_seconds=0.1)
    assert store.system_alerts.all() == []
    check_installation(store, SETTINGS, watched_seconds=0.5)
    assert [notice.subject for notice in store.system_alerts.all()] == ["monitor"]
