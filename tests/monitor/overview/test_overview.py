"""What pages show of the record, as values."""

import numpy as np
import pytest

from monitor.overview import alerts, metrics, model, runs, versions
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.settings import MonitorSettings
from store.clock import new_id, utc_now
from store.errors import NotFound
from store.repositories.alerts import AlertRecord, AlertState
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_monitor_pass import MODEL, look, register, serve


@pytest.fixture
def watched_store(sqlite_store: Store, reference: Reference, population: Population) -> Store:
    """A record in which one model was looked at twice: a healthy window, then a shifted one with a report."""
    register(sqlite_store, encode(reference))
    rng = np.random.default_rng(0)
    serve(sqlite_store, reference, *population.draw(300, rng)[:2])
    look(sqlite_store)
    serve(sqlite_store, reference, *population.strangers(200, rng))
    shifted = look(sqlite_store).run
    sqlite_store.reports.save(shifted.id, shifted.at, {"headline": "shifted"}, None)
    return sqlite_store


def fire_alerts(store: Store, number: int) -> None:
    """Let one alert fire of each of so many other models."""
    run_id, now = store.runs.recent(limit=1)[0].id, utc_now()
    for index in range(number):
        sha256 = f"{index:064x}"
        store.models.register(
            sha256=sha256, name=f"model {index}", application="vision", task="regression", classes=[], reference=None
        )
        alert = AlertRecord(new_id(), sha256, "accuracy", AlertState.FIRING, now, now, run_id, "It has shifted.")
        with store.writing() as transaction:
            store.alerts.save(transaction, alert)


def test_the_overview_of_a_model_says_what_it_did_and_what_its_alerts_watch(
    watched_store: Store, reference: Reference
) -> None:
    overview = model.read_model_overview(watched_store, watched_store.models.get(MODEL), reference, MonitorSettings())
    assert overview.predictions == 500
    assert [run.verdict.value for run in overview.runs.runs] == ["shifted", "ok"]
    assert overview.runs.reported == {overview.runs.runs[0].id}
    assert overview.firing == len(overview.alerts) > 0
    assert overview.accuracy is not None
    assert 0 <= overview.accuracy.low <= overview.accuracy.value <= overview.accuracy.high <= 1
    assert (overview.baseline, overview.recording_warning, list(overview.system_alerts)) == (None, None, [])
    assert (overview.certificate is None) == (reference.certificate is None)
    # One model has a reference, and has the whole budget.
    assert overview.budget.models == 1


def test_of_many_alerts_an_overview_shows_the_first_and_counts_all(watched_store: Store) -> None:
    firing = len(watched_store.alerts.all(AlertState.FIRING))
    fire_alerts(watched_store, 120)
    overview = model.read_model_overview(watched_store, watched_store.models.get(MODEL), None, MonitorSettings())
    assert (len(overview.alerts), overview.firing) == (model.ALERTS_SHOWN, firing + 120)
    assert (overview.last_day, overview.certificate, list(overview.power)) == (None, None, [])
    listed = alerts.read_alerts_overview(watched_store)
    assert len(listed.alerts) == alerts.ALERTS_SHOWN
    assert listed.not_shown == listed.firing_not_shown == firing + 20
    assert listed.model_names[MODEL] == "clusters"
    assert listed.pending == firing
    assert len(alerts.list_alerts(watched_store).alerts) == firing + 120
    assert alerts.list_alerts(watched_store, AlertState.RESOLVED).alerts == []
    statuses = metrics.list_alert_statuses(watched_store)
    assert len(statuses) == firing + 120
    assert all(status.firing for status in statuses)
    assert {"clusters", "model 7"} <= {status.model for status in statuses}


def test_a_version_is_summarized_from_the_record(watched_store: Store) -> None:
    record = watched_store.models.get(MODEL)
    traffic = versions.Traffic("shadow", mirrored=True, missed=7)
    summary = versions.summarize_version(watched_store, record, traffic)
    assert (summary.role, summary.predictions, summary.missed, summary.verdict) == ("shadow", 500, 7, "shifted")
    assert summary.run_id == watched_store.runs.recent(limit=1)[0].id
    # It repeated nobody's predictions.
    assert summary.agreement is not None
    assert summary.agreement.count == 0
    assert versions.summarize_version(watched_store, record, versions.Traffic("live")).agreement is None


def test_the_list_of_models_shows_the_first_that_are_served_elsewhere(watched_store: Store) -> None:
    fire_alerts(watched_store, versions.MODELS_SHOWN + 3)
    elsewhere = [record for record in watched_store.models.all() if record.sha256 != MODEL]
    served = [versions.ServedModel("clusters", problem="the canary is missing")]
    models = versions.list_models(watched_store, served, elsewhere)
    assert list(models.served) == served
    assert (len(models.elsewhere), models.elsewhere_not_shown) == (versions.MODELS_SHOWN, 3)
    assert [version.role for version in models.elsewhere[0].versions] == [versions.ELSEWHERE]
    assert not models.elsewhere[0].served_here
    assert models.firing == len(watched_store.alerts.all(AlertState.FIRING))
    assert versions.list_model_names(watched_store)[-1] == "clusters"


def test_runs_are_listed_with_their_reports(watched_store: Store) -> None:
    listed = runs.list_runs(watched_store)
    shifted, healthy = listed.runs
    assert listed.reported == {shifted.id}
    assert [run.id for run in runs.list_reported_runs(watched_store)] == [shifted.id]
    report = runs.read_report(watched_store, shifted.id)
    assert (report.document, report.has_columns_page, report.replaced_by) == ({"headline": "shifted"}, False, None)
    with pytest.raises(NotFound):
        runs.read_report(watched_store, healthy.id)


def test_predictions_are_counted_for_metrics(watched_store: Store) -> None:
    (count,) = metrics.count_predictions(watched_store, watched_store.models.all())
    assert (count.model.sha256, count.predictions) == (MODEL, 500)
    assert 0 < count.flagged < 500
