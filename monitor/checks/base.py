"""The one shape of a check: it compares a window with the reference and says what it found."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from monitor.reference import Reference
from monitor.settings import MonitorSettings
from monitor.window import Window


class NotApplicable(Exception):
    """This check has nothing to say about this learner; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What a check measured, before it is weighed together with the others.

    `effect` is the size of the difference in the unit `effect_name`; `matters` says whether it is at least the size
    the operator cares for. `quiet` and `loud` say the finding in plain words, without and with a shift.
    """

    statistic: float
    p_value: float
    effect: float
    effect_name: str
    matters: bool
    quiet: str
    loud: str
    detail: dict[str, Any] = field(default_factory=dict)


class Check(Protocol):
    """Compares one aspect of a window with the reference."""

    name: str
    title: str

    def __call__(
        self, reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
    ) -> Finding:
        """Compare.

        Raises:
            NotApplicable: the learner has nothing this check could look at.
        """
        ...
