"""What users get for their own tests: a gateway that is real, alone, and gone afterwards."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from store.errors import BadInput, BadLearner
from tidegate.testing import RunningGateway, running_gateway, tiny_learner

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `tidegate.toml` would stop any gateway that read it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "tidegate.toml").write_text("[serving]\nmaximum_items = 0\n")
    return folder


@pytest.fixture(scope="module")
def gateway(elsewhere: Path) -> Iterator[RunningGateway]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        patch.setenv("TIDEGATE_STORE__DATABASE", "postgresql://nobody@nowhere/none")
        with running_gateway(settings={"serving": {"maximum_items": 2}}) as running:
            yield running


def test_what_is_predicted_is_in_the_record_at_once_with_its_score_and_tags(gateway: RunningGateway) -> None:
    before = len(gateway.predictions())
    answer = gateway.client.predict(tiny_learner().usual_row(), tags={"shop": "bonn"})
    recorded = gateway.predictions()
    assert len(recorded) == before + 1
    assert answer.ood is not None
    (one,) = [row for row in recorded if row.id == answer.id]
    assert (one.prediction, one.model, one.flagged) == (answer.prediction, answer.model, False)
    assert (one.score, one.p_value, one.tags) == (answer.ood.score, answer.ood.p_value, {"shop": "bonn"})


def test_the_tiny_learner_knows_its_classes_and_flags_a_strange_row(gateway: RunningGateway) -> None:
    tiny = tiny_learner()
    small = gateway.client.predict({"width": -1.0, "height": -1.0, "colour": "blue"})
    large, strange = (gateway.client.predict(row) for row in (tiny.usual_row(), tiny.strange_row()))
    assert (small.prediction, large.prediction) == ("small", "large")
    assert strange.ood is not None
    assert strange.ood.flagged


def test_settings_that_are_given_hold_and_those_of_whoever_runs_the_tests_do_not(
    gateway: RunningGateway, elsewhere: Path
) -> None:
    with pytest.raises(BadInput):
        gateway.client.predict_many([tiny_learner().usual_row()] * 3)
    assert gateway.database.startswith("sqlite:///")
    assert [file.name for file in elsewhere.iterdir()] == ["tidegate.toml"]


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pkl"
    with pytest.raises(BadLearner, match=r"missing\.pkl"), running_gateway(missing):
        pass


def test_afterwards_nothing_answers_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with running_gateway() as running:
        assert httpx.get(f"{running.url}/health/ready").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/health/ready")
    assert [left.name for left in tmp_path.iterdir() if left.name.startswith("tidegate-test-")] == []
