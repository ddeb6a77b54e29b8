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

Under daily seasonality scores are ranked within their hour (a Mondrian taxonomy, Vovk 2005): what is usual at night is
judged by nights.

Once it rings nothing more is learned, so that the shifted rows never become normal; `acknowledge` starts again.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from monitor.reference.profile import Reference
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
# Steps f(p) = 1 − s + s/c · 1{p ≤ c}, as (s, c): bets that a share s of the inputs is among the strangest c, and the others
# as before. On a few strange inputs among many usual ones a bet on all of them loses.
STEPS: tuple[tuple[float, float], ...] = ((0.01, 0.002), (0.03, 0.01), (0.06, 0.02), (0.12, 0.05))
_FORMAT = 2
_ROWS_AT_ONCE = 256
# Which of the rows judged at once came before which.
_EARLIER = np.tri(_ROWS_AT_ONCE, k=-1, dtype=np.bool_)


def bin_counts(scores: npt.ArrayLike) -> Counts:
    """How many scores fall into each of the alarm's bins, shape `(514,)`. Counts of gateways and minutes add up.

    Raises:
        BadInput: a score is not a number. An infinite one, of an input that is not finite, is the strangest.
    """
    return np.bincount(_bins(scores), minlength=BINS).astype(np.int64)


@dataclass
class SequentialAlarm:
    """Watches out-of-domain scores, or any other score, in order of arrival.

    Args:
        reference: whose rows' scores the stream is ranked among.
        arl: the promise N: on average at least so many predictions to a false alarm.
        rng: breaks ties.
        baseline: scores to rank among in place of the reference's, shape `(m,)`.
        hours: the category of each baseline score, such as its hour of the day, shape `(m,)`; None for one category.
        edges: bounds of the bins, ascending; they must not depend on the baseline. By default those for OOD scores.

    Attributes:
        evidence: Σ w_j R_j; the alarm rings when it reaches `arl`.
        seen: how many scores have been judged.
        since: the place (from 0) of the score that rang it; None while it is quiet.
    """

    reference: Reference | None
    arl: float = 10_000
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    baseline: npt.ArrayLike | None = None
    hours: npt.ArrayLike | None = None
    edges: Floats = field(default_factory=lambda: EDGES)

    def __post_init__(self) -> None:
        if not self.arl > 1:
            raise BadInput(f"The promise must be more than 1 prediction, and {self.arl:g} came.", field="arl")
        if self.baseline is None:
            if self.reference is None:
                raise BadInput("Give a reference, or baseline scores to rank among.", field="baseline")
            self.baseline = self.reference.held_out.scores
        places = self._places(self.baseline)
        categories = np.zeros(places.size, np.int64) if self.hours is None else _categories(self.hours, places.size)
        self._baseline: dict[int, Counts] = {
            int(one): np.bincount(places[categories == one], minlength=self.bins) for one in np.unique(categories)
        }
        self.acknowledge()

    @property
    def bins(self) -> int:
        """How many bins scores are ranked by."""
        return self.edges.size + 1

    @property
    def firing(self) -> bool:
        return self.since is not None

    @property
    def evidence(self) -> float:
        with np.errstate(over="ignore"):
            return float(np.exp(self._log_detectors).mean())

    def acknowledge(self) -> None:
        """Start again from the baseline alone: what was seen is forgotten, and the alarm is quiet."""
        self.seen = 0
        self.since: int | None = None
        self._counts = {one: counts.copy() for one, counts in self._baseline.items()}
        self._log_detectors: Floats = np.full(len(BETS) + len(STEPS), -np.inf)

    def update(self, scores: npt.ArrayLike, hours: npt.ArrayLike | None = None) -> bool:
        """Judge scores, shape `(n,)`, in order of arrival, and say whether the alarm rings.

        Args:
            scores: higher = further out.
            hours: the category of each score, as those of the baseline, shape `(n,)`.

        Raises:
            BadInput: a score is not a number; nothing was judged.
        """
        places = self._places(scores)
        categories = np.zeros(places.size, np.int64) if hours is None else _categories(hours, places.size)
        return self._judge(places, categories)

    def update_counts(self, counts: npt.ArrayLike, hour: int = 0) -> bool:
        """Judge scores that are known by their bins only, as `bin_counts` gives them, in a random order.

        While nothing has changed every order is as likely as any other, so the promise holds as it does for `update`.

        Raises:
            BadInput: not one count per bin.
        """
        numbers = np.asarray(counts)
        if numbers.shape != (self.bins,) or not np.issubdtype(numbers.dtype, np.integer) or (numbers < 0).any():
            raise BadInput(f"The counts must be {self.bins} whole numbers, as `bin_counts` gives them.", field="counts")
        places = self.rng.permutation(np.repeat(np.arange(self.bins), numbers))
        return self._judge(places, np.full(places.size, hour))

    def merge(self, other: "SequentialAlarm") -> "SequentialAlarm":
        """The alarm of both streams together, such as those of two gateways; neither is changed.

        What both have seen is added, and so is the evidence: each grows by one per prediction on average while nothing
        has changed, and so does their sum, against the one promise. It rings if one of them did, or their sum does.

        Raises:
            BadInput: the two rank among other baselines, by other bins, or promise another length.
        """
        same = self._baseline.keys() == other._baseline.keys() and all(
            np.array_equal(counts, other._baseline[one]) for one, counts in self._baseline.items()
        )
        if not same or self.arl != other.arl or not np.array_equal(self.edges, other.edges):
            raise BadInput("Only alarms with the same baseline, bins and promise can be merged.", field="other")
        both = SequentialAlarm.from_json(self.to_json(), self.reference)
        for one in self._counts.keys() | other._counts.keys():
            nothing = np.zeros(self.bins, np.int64)
            mine, theirs = self._counts.get(one, nothing), other._counts.get(one, nothing)
            both._counts[one] = mine + theirs - self._baseline.get(one, nothing)
        both._log_detectors = np.logaddexp(self._log_detectors, other._log_detectors)
        both.seen = self.seen + other.seen
        rang = [alarm.since for alarm in (self, other) if alarm.since is not None]
        both.since = min(rang) if rang else (both.seen - 1 if both.evidence >= both.arl else None)
        return both

    def _places(self, scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
        return _bins(scores, self.edges)

    def _judge(self, places: npt.NDArray[np.int64], categories: npt.NDArray[np.int64]) -> bool:
        for start in range(0, places.size, _ROWS_AT_ONCE):
            if self.firing:
                break
            part = slice(start, start + _ROWS_AT_ONCE)
            self._judge_some(places[part], categories[part])
        return self.firing

    def _judge_some(self, places: npt.NDArray[np.int64], categories: npt.NDArray[np.int64]) -> None:
        p = self._p_values(places, categories)
        log_densities = _log_densities(p)
        # R_t = f_t (1 + R_{t−1}) unrolled: with S the running sum of log f, R_t = e^{S_t} (R_0 + Σ e^{−S_{s−1}}).
        sums = np.cumsum(log_densities, axis=0)
        before = np.vstack([np.zeros(len(BETS) + len(STEPS)), sums[:-1]])
        terms = np.vstack([self._log_detectors, -before])
        log_detectors = sums + np.logaddexp.accumulate(terms, axis=0)[1:]
        with np.errstate(over="ignore"):
            rings = np.flatnonzero(np.exp(log_detectors).mean(axis=1) >= self.arl)
        judged = int(rings[0]) + 1 if rings.size else places.size
        self._log_detectors = log_detectors[judged - 1]
        for one in np.unique(categories[:judged]):
            mine = places[:judged][categories[:judged] == one]
            counts = self._counts.setdefault(int(one), np.zeros(self.bins, np.int64))
            counts += np.bincount(mine, minlength=self.bins)
        if rings.size:
            self.since = self.seen + int(rings[0])
        self.seen += judged

    def _p_values(self, places: npt.NDArray[np.int64], categories: npt.NDArray[np.int64]) -> Floats:
        """The rank of each score among the baseline and all before it, in its category."""
        uniforms = self.rng.uniform(size=places.size)
        above, equal, total = (np.zeros(places.size) for _ in range(3))
        for one in np.unique(categories):
            counts = self._counts.get(int(one), np.zeros(self.bins, np.int64))
            mine = categories == one
            # How many of the counts lie in the bins above each.
            higher = np.r_[np.cumsum(counts[::-1])[::-1][1:], 0]
            above[mine], equal[mine], total[mine] = higher[places[mine]], counts[places[mine]], counts.sum()
        earlier = _EARLIER[: places.size, : places.size]
        if np.ptp(categories):
            earlier = earlier & (categories[:, None] == categories[None, :])
        above += np.count_nonzero(earlier & (places[None, :] > places[:, None]), axis=1)
        equal += np.count_nonzero(earlier & (places[None, :] == places[:, None]), axis=1)
        total += np.count_nonzero(earlier, axis=1)
        p_values: Floats = (above + uniforms * (equal + 1)) / (total + 1)
        return p_values

    def to_json(self) -> str:
        """The state, randomness included: restored, it goes on as it would have."""
        return json.dumps(
            {
                "format": _FORMAT,
                "arl": self.arl,
                "seen": self.seen,
                "since": self.since,
                "edges": None if self.edges is EDGES else self.edges.tolist(),
                "baseline": {str(one): _sparse(counts) for one, counts in self._baseline.items()},
                "counts": {str(one): _sparse(counts) for one, counts in self._counts.items()},
                "log_detectors": [value if np.isfinite(value) else None for value in self._log_detectors.tolist()],
                "rng": self.rng.bit_generator.state,
            }
        )

    @classmethod
    def from_json(cls, text: str, reference: Reference | None = None) -> "SequentialAlarm":
        """The alarm that `to_json` wrote.

        Raises:
            BadInput: it is not such a state.
        """
        try:
            state: dict[str, Any] = json.loads(text)
            if state["format"] != _FORMAT or len(state["log_detectors"]) != len(BETS) + len(STEPS):
                raise ValueError("it is of another version")
            edges = EDGES if state["edges"] is None else np.array(state["edges"], np.float64)
            kind = getattr(np.random, state["rng"]["bit_generator"])
            rng = np.random.Generator(kind())
            rng.bit_generator.state = state["rng"]
            alarm = cls(reference, arl=state["arl"], rng=rng, baseline=[], edges=edges)
            alarm.seen, alarm.since = int(state["seen"]), state["since"]
            alarm._baseline = {int(one): _dense(counts, alarm.bins) for one, counts in state["baseline"].items()}
            alarm._counts = {int(one): _dense(counts, alarm.bins) for one, counts in state["counts"].items()}
            detectors = [-np.inf if value is None else value for value in state["log_detectors"]]
            alarm._log_detectors = np.array(detectors, np.float64)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise BadInput(f"This is no state of a sequential alarm: {error}.") from error
        return alarm


def _sparse(counts: Counts) -> list[list[int]]:
    used = np.flatnonzero(counts)
    return [used.tolist(), counts[used].tolist()]


def _dense(parts: list[list[int]], bins: int) -> Counts:
    counts = np.zeros(bins, np.int64)
    counts[np.array(parts[0], np.int64)] = parts[1]
    return counts


def _bins(scores: npt.ArrayLike, edges: Floats = EDGES) -> npt.NDArray[np.int64]:
    values = np.asarray(scores, np.float64).ravel()
    if np.isnan(values).any():
        raise BadInput("A score is not a number (NaN). Give scores as `Reference.score` returns them.", field="scores")
    return np.searchsorted(edges, values, side="right")


def _categories(hours: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    categories = np.asarray(hours)
    if categories.shape != (n,) or not np.issubdtype(categories.dtype, np.integer):
        raise BadInput(f"The hours must be {n} whole numbers, one for each score.", field="hours")
    return categories.astype(np.int64)


_A: Floats = np.array([a for a, _ in BETS])
_B: Floats = np.array([b for _, b in BETS])
_LOG_BETA: Floats = betaln(_A, _B)
_SHARE: Floats = np.array([share for share, _ in STEPS])
_WIDTH: Floats = np.array([width for _, width in STEPS])


def _log_densities(p: Floats) -> Floats:
    """log f_j(p), shape `(n, bets)`."""
    # The ends are reached with probability zero, and by rounding.
    inside = np.clip(p, 1e-300, 1 - 1e-16)[:, None]
    betas = (_A - 1) * np.log(inside) + (_B - 1) * np.log1p(-inside) - _LOG_BETA
    steps = np.log1p(-_SHARE + _SHARE / _WIDTH * (inside <= _WIDTH))
    return np.concatenate([betas, steps], axis=1)
