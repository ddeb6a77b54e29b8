"""Backends that can't run a model are left out, and never end whoever measures them."""

from pathlib import Path

import pytest

from serving.engine.engine import Engine
from serving.engine.tuning import tune
from serving.learner.adapters.vision import raw_image
from serving.learner.loading import load
from tests.learners import networks, pictures
from tests.learners.case import export


def test_a_backend_that_fails_on_an_example_is_left_out_and_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A trace takes for constant how often a class token is repeated."""
    engine = Engine(load(export(pictures.one_class(lambda: networks.WithClassToken(2)).learner, tmp_path)))
    trials = tune(engine, [raw_image(file) for file in pictures.pictures()[:4]], thorough=False, seconds_each=0.001)
    refused = {trial.backend: trial.refused for trial in trials.trials}
    assert refused["eager"] is None
    failing = [reason for reason in refused.values() if reason is not None]
    assert failing
    assert all("\n" not in reason for reason in failing)
    assert "IR graph" not in "".join(capfd.readouterr())
