"""Every kind of learner that fastai's users export is answered as `Learner.predict` answers, or refused in clear words."""

from pathlib import Path

import pytest

from tests.learners.case import Refused, Served
from tests.learners.measure import REFUSED, SERVED, measure, refusal
from tests.learners.table import DOCUMENT, refused_row, served_row

pytestmark = pytest.mark.filterwarnings(
    # fastai itself hands pandas the category it does not know.
    "ignore:Constructing a Categorical",
    "ignore:.*weight_norm.*",
    # PyTorch, of its own transformers.
    "ignore:The PyTorch API of nested tensors",
    # PyTorch, of half precision without a GPU.
    "ignore:.*CUDA is not available",
)
TOLERANCE = 1e-4


@pytest.mark.parametrize("kind", SERVED, ids=lambda kind: kind.name)
def test_a_learner_is_profiled_and_answered_as_it_answers_itself(kind: Served, tmp_path: Path) -> None:
    exactness = measure(kind, tmp_path)
    assert exactness.differing == []
    assert exactness.largest_difference <= TOLERANCE
    assert exactness.embedding == kind.embedding
    assert exactness.same_layer_in_reference


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_a_learner_that_is_not_served_is_refused_in_clear_words(kind: Refused, tmp_path: Path) -> None:
    said = refusal(kind, tmp_path)
    assert said.startswith(kind.because), said
    assert "\n" not in said


def test_the_documentation_lists_every_kind_of_learner() -> None:
    documented = DOCUMENT.read_text()
    for row in [*map(served_row, SERVED), *map(refused_row, REFUSED)]:
        assert row in documented, "make it again: python -m tests.learners.table"
