"""A sequential alarm with a promise: at most one false alarm in so many predictions, however often one looks.

A test repeated every hour cries wolf sooner or later, whatever its level. This alarm instead watches the stream of
out-of-domain scores one by one:

1. Each score gets an *online conformal p-value* (Vovk, Gammerman & Shafer 2005): its rank among the held-out scores
   **and everything seen since**, ties broken at random. While stream and held-out rows are exchangeable these are
   independent and uniform, exactly, for any number of held-out rows. Ranks among the held-out rows alone are not: the
   sampling error of that fixed set looks like a shift that never ends.
2. Scores are ranked by fixed bins, so that the state is a vector of counts, which several gateways can add up. Any
   fixed function of an input may be ranked, so binning costs resolution and no validity; the bins must not depend on
   the held-out rows.
3. *Shiryaev–Roberts e-detectors* (Shin, Ramdas & Rinaldo 2023) bet against uniformity: R_j ← (1 + R_j) f_j(p), and the
   alarm rings when Σ w_j R_j ≥ N. As Σ w_j R_j − t is a martingale while nothing has changed, the average number of
   predictions to a false alarm is at least N.

Once it rings nothing more is learned, so that the shifted rows never become normal; `acknowledge` starts again.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from monitor.reference import Reference
from store.errors import BadInput

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# The fused score is a mean of −log p: its body lies below 6, where bins are fine; far inputs need order, not detail.
EDGES: Floats = np.concatenate([np.linspace(0, 6, 481), np.linspace(6.5, 22, 32)])
BINS = EDGES.size + 1

# Beta densities f(p) = p^(a−1) (1−p)^(b−1) / B(a, b): bets on small p (strange inputs), large p (all too usual ones),
# spread p (both) and concentrated p (neither).
BETS: tuple[tuple[float, float], ...] = (
    *((0.1, 1.0), (0.3, 1.0), (0.5, 1.0), (0.7, 1.0)),
    *((1.0, 0.3), (1.0, 0.5), (1.0, 0.7)),
    *((0.5, 0.5), (0.7, 0.7)),
    *((2.0, 2.0), (4.0, 4.0)),
)
_FORMAT = 1


def bin_counts(scores: npt.ArrayLike) -> Counts:
    """How many scores fall into each of the alarm's bins, shape `(514,)`. Counts of gateways and minutes add up.

    Raises:
        BadInput: a score is not a number. An infinite one, of an input that is not finite, is the strangest.
    """
    return np.bincount(_bins(scores), minlength=BINS).astype(np.int64)


@dataclass
class SequentialAlarm:
    """Watches out-of-domain scores in order of arrival.

    Args:
        reference: whose held-out scores the stream is ranked among.
        arl: the promise N: on average at least so many predictions to a false alarm.
        rng: breaks ties.

    Attributes:
        evidence: Σ w_j R_j; the alarm rings when it reaches `arl`.
        seen: how many scores have been judged.
        since: the place (from 0) of the score that rang it; None while it is quiet.
    """

    reference: Reference
    arl: float = 10_000
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __post_init__(self) -> None:
        if not self.arl > 1:
            raise BadInput(f"The promise must be more than 1 prediction, and {self.arl:g} came.", field="arl")
        self.acknowledge()

    @property
    def firing(self) -> bool:
        return self.since is not None

    @property
    def evidence(self) -> float:
        return float(self._detectors.mean())

    def acknowledge(self) -> None:
        """Start again from the held-out scores alone: what was seen is forgotten, and the alarm is quiet."""
        self.seen = 0
        self.since: int | None = None
        self._counts = bin_counts(self.reference.calibration_scores)
        self._detectors: Floats = np.zeros(len(BETS))

    def update(self, scores: npt.ArrayLike) -> bool:
        """Judge scores, shape `(n,)`, in order of arrival, and say whether the alarm rings.

        Raises:
            BadInput: a score is not a number; nothing was judged.
        """
        return self._judge(_bins(scores))

    def update_counts(self, counts: npt.ArrayLike) -> bool:
        """Judge scores that are known by their bins only, as `bin_counts` gives them, in a random order.

        While nothing has changed every order is as likely as any other, so the promise holds as it does for `update`.

        Raises:
            BadInput: not one count per bin.
        """
        numbers = np.asarray(counts)
        if numbers.shape != (BINS,) or not np.issubdtype(numbers.dtype, np.integer) or (numbers < 0).any():
            raise BadInput(f"The counts must be {BINS} whole numbers, as `bin_counts` gives them.", field="counts")
        return self._judge(self.rng.permutation(np.repeat(np.arange(BINS), numbers)))

    def _judge(self, bins: npt.NDArray[np.int64]) -> bool:
        total = int(self._counts.sum())
        uniforms = self.rng.uniform(size=bins.size)
        for place, uniform in zip(bins, uniforms, strict=True):
            if self.firing:
                break
            above = int(self._counts[place + 1 :].sum())
            p = (above + uniform * (int(self._counts[place]) + 1)) / (total + 1)
            self._detectors = (1 + self._detectors) * _densities(p)
            self._counts[place] += 1
            total += 1
            if self.evidence >= self.arl:
                self.since = self.seen
            self.seen += 1
        return self.firing

    def to_json(self) -> str:
        """The state, randomness included: restored, it goes on exactly as it would have."""
        return json.dumps(
            {
                "format": _FORMAT,
                "arl": self.arl,
                "seen": self.seen,
                "since": self.since,
                "counts": self._counts.tolist(),
                "detectors": self._detectors.tolist(),
                "rng": self.rng.bit_generator.state,
            }
        )

    @classmethod
    def from_json(cls, text: str, reference: Reference) -> "SequentialAlarm":
        """The alarm that `to_json` wrote.

        Raises:
            BadInput: it is not such a state.
        """
        try:
            state: dict[str, Any] = json.loads(text)
            if state["format"] != _FORMAT or len(state["counts"]) != BINS or len(state["detectors"]) != len(BETS):
                raise ValueError("its parts have other lengths")
            rng = np.random.default_rng()
            rng.bit_generator.state = state["rng"]
            alarm = cls(reference, arl=state["arl"], rng=rng)
            alarm.seen, alarm.since = state["seen"], state["since"]
            alarm._counts = np.array(state["counts"], np.int64)
            alarm._detectors = np.array(state["detectors"], np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"This is no state of a sequential alarm: {error}.") from error
        return alarm


def _bins(scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
    values = np.asarray(scores, np.float64).ravel()
    if np.isnan(values).any():
        raise BadInput("A score is not a number (NaN). Give scores as `Reference.score` returns them.", field="scores")
    return np.searchsorted(EDGES, values, side="right")


_A: Floats = np.array([a for a, _ in BETS])
_B: Floats = np.array([b for _, b in BETS])
_LOG_BETA: Floats = betaln(_A, _B)


def _densities(p: float) -> Floats:
    # The ends are reached with probability zero, and by rounding.
    p = min(max(p, 1e-300), 1 - 1e-16)
    densities: Floats = np.exp((_A - 1) * np.log(p) + (_B - 1) * np.log1p(-p) - _LOG_BETA)
    return densities
