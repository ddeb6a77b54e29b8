"""The embedding comes from the layer that was asked for, whichever backend runs the model and whichever verb loads it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from monitor.reference.profile import Reference
from monitor.reference.profile_content import Origin
from serving.engine.backends import BACKENDS, Backend
from serving.engine.backends.compiled import Compiled
from serving.engine.engine import Engine, layer_asked_for
from serving.learner.adapters.vision import raw_image
from serving.learner.embedding_layer import find_embedding_layer
from serving.learner.loading import load
from store.errors import BadLearner, ModelMismatch
from tests.learners import networks, pictures
from tests.learners.case import export


def _engine(model: Callable[[], nn.Module], folder: Path, layer: str | None) -> Engine:
    made = pictures.one_class(model)
    return Engine(load(export(made.learner, folder)), embedding_layer=layer)


def _folded_normalisation() -> nn.Module:
    return nn.Sequential(*networks.body(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    ("model", "layer", "dimension"),
    [
        (lambda: networks.WithHead(2), "head", 8),
        (lambda: networks.WithHead(2), "body.1", 8),
        (lambda: networks.FunctionalHead(2), None, 8),
        (_folded_normalisation, "4", 6),
        (_folded_normalisation, "3", 8),
    ],
    ids=["a head of one's own", "a layer in the middle", "a head that is a function", "a normalisation", "before it"],
)
def test_every_backend_gives_the_embedding_of_the_layer(
    backend: type[Backend], model: Callable[[], nn.Module], layer: str | None, dimension: int, tmp_path: Path
) -> None:
    if not backend.quick and layer != "head":
        pytest.skip("it takes long to make, and is tried on one layer")
    engine = _engine(model, tmp_path, layer)
    inputs = [raw_image(file) for file in pictures.pictures()[:6]]
    expected = engine.predict(inputs)
    assert engine.dimension == dimension
    assert np.ptp(expected.embedding, axis=0).max() > 0
    if backend is Compiled and not shutil.which("c++"):
        pytest.skip("there is no C++ compiler here")
    engine.backend = backend(engine.program(inputs), 1)
    found = engine.predict(inputs)
    tolerance = 1e-4 if backend.exact else 0.05
    np.testing.assert_allclose(found.embedding, expected.embedding, atol=tolerance)
    np.testing.assert_allclose(np.asarray(found.probabilities), np.asarray(expected.probabilities), atol=tolerance)


def test_the_usual_linear_layer_needs_no_note_and_any_other_is_told() -> None:
    pixels = (torch.zeros(1, 3, 32, 32),)
    assert find_embedding_layer(networks.network(2), pixels).note is None
    assert "head (Cosine), the last layer with weights" in str(find_embedding_layer(networks.WithHead(2), pixels).note)
    assert "body.2 (Flatten), the last layer before the weights" in str(
        find_embedding_layer(networks.FunctionalHead(2), pixels).note
    )


def test_a_layer_that_is_not_there_or_is_not_run_is_refused_with_those_that_can_be_named() -> None:
    model = networks.WithHead(2)
    model.unused = nn.Linear(8, 2)
    pixels = (torch.zeros(1, 3, 32, 32),)
    with pytest.raises(BadLearner, match=r"no layer 'heads'\. Layers that can be named.*: .*body\.2, head\."):
        find_embedding_layer(model, pixels, "heads")
    with pytest.raises(BadLearner, match="'unused' can't be the embedding: the model does not call that layer"):
        find_embedding_layer(model, pixels, "unused")


def test_weights_that_are_not_of_the_head_do_not_hide_the_linear_layer_that_is() -> None:
    class WithPositions(nn.Module):
        """As transformers over pictures are: with weights of the whole model's own, and a linear head."""

        def __init__(self) -> None:
            super().__init__()
            self.positions = nn.Parameter(torch.zeros(1, 8))
            self.body, self.head = networks.body(), nn.Linear(8, 2)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(pixels) + self.positions)  # type: ignore[no-any-return]

    assert find_embedding_layer(WithPositions(), (torch.zeros(1, 3, 32, 32),)).name == "head"


def test_the_layer_of_the_reference_is_taken_and_another_one_is_refused(reference: Reference) -> None:
    def layer(reference: Reference | None, named: str | None) -> str | None:
        return layer_asked_for("1" * 64, reference, named)

    made_with = replace(reference, origin=_origin("head"))
    assert layer(None, None) is None
    assert layer(made_with, None) == "head"
    assert layer(made_with, "head") == "head"
    with pytest.raises(ModelMismatch, match=r"from the layer 'head', and '1\.8' is asked for"):
        layer(made_with, "1.8")
    # References made before the layer was kept.
    assert layer(replace(reference, origin=_origin(None)), "1.8") == "1.8"
    of_another_learner = replace(reference, origin=replace(_origin("head"), learner_sha256="0" * 64))
    assert layer(of_another_learner, None) is None


def _origin(layer: str | None) -> Origin:
    return Origin(None, "", "x", "vision", "single_label", ["a"], "", "", "", None, embedding_layer=layer)
