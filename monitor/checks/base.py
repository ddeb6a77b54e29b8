"""The one shape of a check: which statistics answer its question, and how large the difference is in plain terms."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.settings import MaterialEffects


class NotApplicable(Exception):
    """This check has nothing to say about this learner; the message says why."""


@dataclass(frozen=True)
class Finding:
    """How large a difference is.

    `effect` is its size in the unit `effect_name`. `quiet` and `loud` say it in plain words, without and with a shift.
    """

    effect: float
    effect_name: str
    quiet: str
    loud: str
    detail: dict[str, Any] = field(default_factory=dict)


class Check(Protocol):
    """Compares one aspect of a window with the reference's rows.

    `blocks` are the first words of the blocks of features whose statistics answer the question; those that a reference
    does not have are left out.
    """

    name: str
    title: str
    blocks: tuple[str, ...]

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        """Measure the effect.

        Raises:
            NotApplicable: the learner has nothing this check could look at.
        """
        ...

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        """Whether an effect is at least the size the operator cares for."""
        ...
