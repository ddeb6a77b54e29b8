"""Verbs that read and write the record, run as a person would."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from store.errors import NotFound
from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_monitor_pass import look, register, serve
from tidegate.cli import app


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'tidegate.db'}"


@pytest.fixture
def store(url: str, reference: Reference, population: Population) -> Store:
    opened = Store.open(StoreSettings(database=url))
    register(opened, encode(reference))
    serve(opened, reference, *population.draw(600, np.random.default_rng(0))[:2])
    return opened


def run(url: str, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--database", url], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_baseline_is_pinned_listed_compared_and_left_again(url: str, store: Store) -> None:
    assert "No baseline is pinned" in run(url, "baseline", "list")
    pinned = run(url, "baseline", "pin", "calm")
    assert "clusters is now compared with calm v1: 600 predictions." in pinned
    assert "shift-free streams" in pinned
    assert "20% unknown inputs: noticed within about" in pinned
    run(url, "baseline", "pin", "calm", "--last", "400")
    listed = run(url, "baseline", "list")
    assert re.search(r"active\s+calm v2: 400 predictions", listed)
    assert "calm v2 compared with calm v1: Nothing has changed." in run(
        url, "baseline", "compare", "calm v1", "calm v2"
    )
    assert "now compared with calm v1" in run(url, "baseline", "use", "calm v1")
    assert "held-out training data" in run(url, "baseline", "use", "training")
    assert store.baselines.active(store.models.all()[0].sha256) is None


def test_a_window_that_ends_before_it_begins_is_refused(url: str, store: Store) -> None:
    from store.errors import BadInput

    words = ["baseline", "pin", "--since", "2026-02-01", "--until", "2026-01-01"]
    with pytest.raises(BadInput, match="before it begins"):
        run(url, *words)


def test_the_replay_that_an_alert_names_gives_the_same_numbers(
    url: str, store: Store, reference: Reference, population: Population
) -> None:
    look(store)
    serve(store, reference, *population.strangers(200, np.random.default_rng(1)))
    look(store)
    listed = run(url, "alerts", "--firing")
    said = re.search(r"tidegate replay (\S+)", listed)
    assert said is not None
    replayed = run(url, "replay", said.group(1))
    assert "same" in replayed
    assert "differs" not in replayed


def test_a_model_that_was_never_served_is_named_as_missing(url: str, store: Store) -> None:
    with pytest.raises(NotFound, match="No such model"):
        run(url, "baseline", "list", "--model", "other")
