"""Baselines, their certificate, the budget they share, and the evidence of what was found against them."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from monitor.alarm.budget import Budget
from monitor.baselines.baseline import BaselineWindow, compare_baselines, decode_rows, encode_rows, pin_baseline
from monitor.baselines.certificate import certify
from monitor.passes.replay import replay
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.settings import MonitorSettings
from store.clock import utc_now
from store.errors import BadBaseline, NotFound
from store.repositories.alerts import AlertState
from store.repositories.baselines import BaselineRecord
from store.repositories.runs import Verdict
from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_monitor_pass import MODEL, look, register, serve


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pin_all(store: Store, name: str = "healthy", since: datetime | None = None) -> BaselineRecord:
    window = BaselineWindow(name, since or utc_now() - timedelta(days=1), utc_now())
    return pin_baseline(store, store.models.get(MODEL), window, MonitorSettings(), np.random.default_rng(1))


@pytest.fixture
def elsewhere(sqlite_store: Store, reference: Reference, population: Population) -> Store:
    """Production that is healthy and not quite like training: a little noisier."""
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(800, np.random.default_rng(2), noise=1.3)[:2])
    return sqlite_store


@pytest.fixture(scope="module")
def pinned_file(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, reference: Reference, population: Population
) -> Path:
    """That production with all of it pinned as `healthy v1`; a certificate takes seconds, so it is made once."""
    file = tmp_path_factory.mktemp("pinned") / "tidegate.db"
    shutil.copy(migrated_sqlite, file)
    with closing(Store.open(StoreSettings(database=f"sqlite:///{file}"))) as store:
        register(store, encode(reference))
        serve(store, reference, *population.draw(800, np.random.default_rng(2), noise=1.3)[:2])
        pin_all(store)
    return file


@pytest.fixture
def pinned(pinned_file: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of it."""
    shutil.copy(pinned_file, tmp_path / "pinned.db")
    with closing(Store.open(StoreSettings(database=f"sqlite:///{tmp_path / 'pinned.db'}"))) as store:
        yield store


def test_an_accepted_window_is_what_alerts_watch_from_then_on(
    elsewhere: Store, reference: Reference, population: Population
) -> None:
    assert look(elsewhere).run.verdict is Verdict.SHIFTED
    pinned = pin_all(elsewhere)
    assert (pinned.label, pinned.count, pinned.active) == ("healthy v1", 800, True)
    assert pinned.certificate["gap"]["detected"]
    serve(elsewhere, reference, *population.draw(300, np.random.default_rng(3), noise=1.3)[:2])
    calm = look(elsewhere)
    assert calm.run.verdict is Verdict.OK
    assert calm.run.compared_with == "the baseline healthy v1"
    assert {alert.state for alert in elsewhere.alerts.all()} == {AlertState.RESOLVED}
    serve(elsewhere, reference, *population.strangers(300, np.random.default_rng(4)))
    assert look(elsewhere).run.verdict is Verdict.SHIFTED


def test_versions_of_a_name_follow_each_other_and_can_be_compared(
    pinned: Store, reference: Reference, population: Population
) -> None:
    first = pinned.baselines.find(MODEL, "healthy")
    between = utc_now()
    serve(pinned, reference, *population.draw(400, np.random.default_rng(5), noise=1.5)[:2])
    second = pin_all(pinned, since=between)
    assert [baseline.label for baseline in pinned.baselines.of_model(MODEL)] == ["healthy v2", "healthy v1"]
    active = pinned.baselines.active(MODEL)
    assert active is not None
    assert active.id == second.id
    assert pinned.baselines.find(MODEL, "healthy").id == second.id
    assert pinned.baselines.find(MODEL, "healthy v1").id == first.id
    difference = compare_baselines(pinned, pinned.models.get(MODEL), first, second, np.random.default_rng(0))
    assert "healthy v2 compared with healthy v1: " in difference
    with pytest.raises(NotFound, match="baseline list"):
        pinned.baselines.find(MODEL, "october")


def test_a_window_that_changes_within_itself_is_refused_with_the_time(
    elsewhere: Store, reference: Reference, population: Population
) -> None:
    serve(elsewhere, reference, *population.strangers(800, np.random.default_rng(6)))
    with pytest.raises(BadBaseline, match="changes within itself, about"):
        pin_all(elsewhere)
    assert elsewhere.baselines.active(MODEL) is None


def test_too_few_predictions_or_no_reference_are_refused(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, None)
    with pytest.raises(BadBaseline, match="no reference"):
        pin_all(sqlite_store)
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(30, np.random.default_rng(7))[:2])
    with pytest.raises(BadBaseline, match="too few"):
        pin_all(sqlite_store)


def test_rows_come_back_as_they_were_kept(reference: Reference) -> None:
    rows = decode_rows(encode_rows(reference.held_out))
    np.testing.assert_array_equal(rows.embeddings, reference.held_out.embeddings)
    np.testing.assert_array_equal(rows.scores, reference.held_out.scores)
    np.testing.assert_array_equal(rows.class_indices, reference.held_out.class_indices)


def test_the_certificate_counts_false_alarms_and_tells_how_soon_it_would_notice(reference: Reference) -> None:
    certificate = certify(reference, 5_000, np.random.default_rng(8))
    assert certificate.passed
    assert certificate.streams == 500
    assert certificate.false_alarms <= certificate.allowed_false_alarms + 20
    assert certificate.false_detections <= 14
    many, few = certificate.delays["0.2"], certificate.delays["0.05"]
    assert many is not None
    assert many < 200
    assert few is None or few > many
    assert "20% unknown inputs: noticed within about" in " ".join(certificate.power(1_000))


def test_a_configuration_that_breaks_its_promise_fails_its_certificate(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks whose uniforms are too small, as a bug in the alarm would make them."""
    from monitor.alarm.sequential import SequentialAlarm

    honest = SequentialAlarm._p_values
    monkeypatch.setattr(SequentialAlarm, "_p_values", lambda self, places, hours: honest(self, places, hours) ** 1.5)
    certificate = certify(reference, 5_000, np.random.default_rng(9))
    assert not certificate.passed
    assert "the promise allows" in certificate.reason


def test_few_rows_promise_nothing(reference: Reference) -> None:
    few = reference.against(reference.held_out.take(np.arange(20)), "twenty rows")
    certificate = certify(few, 1_000, np.random.default_rng(10))
    assert not certificate.passed
    assert "too few to promise anything" in certificate.reason


@pytest.mark.parametrize("models", [1, 6])
def test_the_budget_is_shared_by_all_models_and_checks(models: int) -> None:
    budget = Budget(days=30, models=models, looks_per_day=24)
    false_alerts_of_windows = budget.alpha * 24 * 30 * models
    false_alerts_of_alarms = models * 30 * 1_000 / budget.promise(1_000)
    assert false_alerts_of_windows + false_alerts_of_alarms <= 1 + 1e-9
    assert "At most one false alarm in 30 days" in budget.sentence


def test_more_tests_than_chance_can_be_told_from_are_owned_up_to() -> None:
    assert not Budget(days=30, models=50, looks_per_day=1_440).kept


def test_an_alert_is_replayed_to_the_same_numbers_and_a_tampered_record_is_not(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(150, np.random.default_rng(11))[:2])
    look(sqlite_store)
    serve(sqlite_store, reference, *population.strangers(200, np.random.default_rng(12)))
    raised = look(sqlite_store).run
    again = replay(sqlite_store, raised.id)
    assert again.same
    assert {number.check for number in again.numbers} >= {
        "flagged_share",
        "covariate_shift",
        "change",
        "estimated_accuracy",
    }
    with sqlite_store.writing() as transaction:
        from sqlalchemy import delete

        from store.database.tables import PredictionRow

        window = sqlite_store.predictions.stream(MODEL, raised.since, raised.until)
        transaction.execute(delete(PredictionRow).where(PredictionRow.at == window.at[-1]))
    changed = replay(sqlite_store, raised.id)
    assert changed.missing == 1
    assert not changed.same


def test_a_replay_of_a_window_against_a_baseline_finds_it(
    pinned: Store, reference: Reference, population: Population
) -> None:
    look(pinned)
    serve(pinned, reference, *population.strangers(300, np.random.default_rng(13)))
    raised = look(pinned).run
    assert replay(pinned, raised.id).same


def test_a_run_that_raised_nothing_has_no_evidence(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(150, np.random.default_rng(14))[:2])
    with pytest.raises(NotFound, match="raised no alert"):
        replay(sqlite_store, look(sqlite_store).run.id)


def test_a_shift_certain_enough_for_a_report_is_not_always_one_for_an_alert(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    """A budget of one false alarm in thousands of years alerts on nothing that draws can't tell from chance."""
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(110, np.random.default_rng(15), noise=1.15)[:2])
    watched = look(sqlite_store, alpha=0.4, false_alarm_every_days=1e6, matters={"separability": 0.5})
    shifted = [result for result in watched.run.results if result.verdict is Verdict.SHIFTED]
    alerted = [result for result in shifted if result.alerting]
    assert shifted
    assert len(alerted) == len(watched.events) < len(shifted)
