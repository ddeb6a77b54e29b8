"""A sequential alarm with a promise: at most one false alarm in so many predictions, however often one looks.

A test repeated every hour gives a false alarm sooner or later, whatever its level. This alarm instead judges the stream
of out-of-domain scores one by one:

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

Once it rings no more scores are judged or counted, so that shifted rows never become normal; `acknowledge` starts again.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from monitor.reference.profile import Reference
from monitor.reference.rows import Floats
from store.errors import BadInput

Counts = npt.NDArray[np.int64]
BinIndices = npt.NDArray[np.int64]
Categories = npt.NDArray[np.int64]

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
_SCORES_AT_ONCE = 256
# Entry (i, j) says whether score j came before score i, of the scores judged at once.
_EARLIER = np.tri(_SCORES_AT_ONCE, k=-1, dtype=np.bool_)


def bin_counts(scores: npt.ArrayLike) -> Counts:
    """How many scores fall into each of the alarm's bins, shape `(514,)`. Counts of gateways and minutes add up.

    Raises:
        BadInput: a score is not a number. An infinite one, of an input that is not finite, is the strangest.
    """
    return np.bincount(_bin_indices(scores), minlength=BINS).astype(np.int64)


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
        seen: how many scores have been judged since the start or the last `acknowledge`.
        since: the position (from 0) among these of the score that rang it; None while it is quiet.

    Raises:
        BadInput: a promise of one prediction or less, neither a reference nor a baseline, or a score that is not a number.
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
        bin_indices = _bin_indices(self.baseline, self.edges)
        categories = _categories(self.hours, bin_indices.size)
        self._baseline: dict[int, Counts] = {
            int(category): np.bincount(bin_indices[categories == category], minlength=self.bins)
            for category in np.unique(categories)
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
        """Σ w_j R_j, in predictions: its mean grows by one a prediction while nothing has changed."""
        with np.errstate(over="ignore"):
            return float(np.exp(self._log_detectors).mean())

    def acknowledge(self) -> None:
        """Start again from the baseline alone: what was seen is forgotten, and the alarm is quiet."""
        self.seen = 0
        self.since: int | None = None
        self._counts = {category: counts.copy() for category, counts in self._baseline.items()}
        self._log_detectors: Floats = np.full(len(BETS) + len(STEPS), -np.inf)

    def update(self, scores: npt.ArrayLike, hours: npt.ArrayLike | None = None) -> bool:
        """Judge scores, shape `(n,)`, in order of arrival, and say whether the alarm rings.

        Args:
            scores: higher = further out.
            hours: the category of each score, as those of the baseline, shape `(n,)`.

        Raises:
            BadInput: a score is not a number; nothing was judged.
        """
        bin_indices = _bin_indices(scores, self.edges)
        return self._judge(bin_indices, _categories(hours, bin_indices.size))

    def update_counts(self, counts: npt.ArrayLike, hour: int = 0) -> bool:
        """Judge scores of which only the bins are known, as `bin_counts` gives them, in a random order.

        While nothing has changed every order is as likely as any other, so the promise holds as it does for `update`.

        Raises:
            BadInput: not one count per bin.
        """
        numbers = np.asarray(counts)
        if numbers.shape != (self.bins,) or not np.issubdtype(numbers.dtype, np.integer) or (numbers < 0).any():
            raise BadInput(f"The counts must be {self.bins} whole numbers, as `bin_counts` gives them.", field="counts")
        bin_indices = self.rng.permutation(np.repeat(np.arange(self.bins), numbers))
        return self._judge(bin_indices, np.full(bin_indices.size, hour))

    def merge(self, other: "SequentialAlarm") -> "SequentialAlarm":
        """The alarm of both streams together, such as those of two gateways; neither alarm is changed.

        Counts of both are added, and so is the evidence: each grows by one per prediction on average while nothing
        has changed, and so does their sum, against the one promise. It rings if one of them did, or their sum does.

        Raises:
            BadInput: the two rank among other baselines, by other bins, or promise another length.
        """
        same = self._baseline.keys() == other._baseline.keys() and all(
            np.array_equal(counts, other._baseline[category]) for category, counts in self._baseline.items()
        )
        if not same or self.arl != other.arl or not np.array_equal(self.edges, other.edges):
            raise BadInput("Only alarms with the same baseline, bins and promise can be merged.", field="other")
        both = SequentialAlarm.from_json(self.to_json(), self.reference)
        for category in self._counts.keys() | other._counts.keys():
            no_counts = np.zeros(self.bins, np.int64)
            own_counts, other_counts = self._counts.get(category, no_counts), other._counts.get(category, no_counts)
            both._counts[category] = own_counts + other_counts - self._baseline.get(category, no_counts)
        both._log_detectors = np.logaddexp(self._log_detectors, other._log_detectors)
        both.seen = self.seen + other.seen
        positions = [alarm.since for alarm in (self, other) if alarm.since is not None]
        both.since = min(positions) if positions else (both.seen - 1 if both.evidence >= both.arl else None)
        return both

    def _judge(self, bin_indices: BinIndices, categories: Categories) -> bool:
        for start in range(0, bin_indices.size, _SCORES_AT_ONCE):
            if self.firing:
                break
            rows = slice(start, start + _SCORES_AT_ONCE)
            self._judge_block(bin_indices[rows], categories[rows])
        return self.firing

    def _judge_block(self, bin_indices: BinIndices, categories: Categories) -> None:
        """Judge at most 256 scores."""
        log_densities = _log_densities(self._p_values(bin_indices, categories))
        # R_t = f_t (1 + R_{t−1}) unrolled: with S the running sum of log f, R_t = e^{S_t} (R_0 + Σ e^{−S_{s−1}}).
        sums = np.cumsum(log_densities, axis=0)
        previous_sums = np.vstack([np.zeros(len(BETS) + len(STEPS)), sums[:-1]])
        terms = np.vstack([self._log_detectors, -previous_sums])
        log_detectors = sums + np.logaddexp.accumulate(terms, axis=0)[1:]
        with np.errstate(over="ignore"):
            ringing = np.flatnonzero(np.exp(log_detectors).mean(axis=1) >= self.arl)
        judged = int(ringing[0]) + 1 if ringing.size else bin_indices.size
        self._log_detectors = log_detectors[judged - 1]
        for category in np.unique(categories[:judged]):
            members = bin_indices[:judged][categories[:judged] == category]
            counts = self._counts.setdefault(int(category), np.zeros(self.bins, np.int64))
            counts += np.bincount(members, minlength=self.bins)
        if ringing.size:
            self.since = self.seen + int(ringing[0])
        self.seen += judged

    def _p_values(self, bin_indices: BinIndices, categories: Categories) -> Floats:
        """The rank of each score among the baseline and all scores before it, within its category, shape `(n,)`."""
        n = bin_indices.size
        uniforms = self.rng.uniform(size=n)
        above, equal, total = (np.zeros(n) for _ in range(3))
        for category in np.unique(categories):
            counts = self._counts.get(int(category), np.zeros(self.bins, np.int64))
            members = categories == category
            bins = bin_indices[members]
            # How many of the counts lie in the bins above each.
            higher = np.r_[np.cumsum(counts[::-1])[::-1][1:], 0]
            above[members], equal[members], total[members] = higher[bins], counts[bins], counts.sum()
        earlier = _EARLIER[:n, :n]
        if np.ptp(categories):
            earlier = earlier & (categories[:, None] == categories[None, :])
        above += np.count_nonzero(earlier & (bin_indices[None, :] > bin_indices[:, None]), axis=1)
        equal += np.count_nonzero(earlier & (bin_indices[None, :] == bin_indices[:, None]), axis=1)
        total += np.count_nonzero(earlier, axis=1)
        p_values: Floats = (above + uniforms * (equal + 1)) / (total + 1)
        return p_values

    def to_json(self) -> str:
        """The state, randomness included; an alarm restored from it continues as this one would have."""
        return json.dumps(
            {
                "format": _FORMAT,
                "arl": self.arl,
                "seen": self.seen,
                "since": self.since,
                "edges": None if self.edges is EDGES else self.edges.tolist(),
                "baseline": {str(category): _sparse(counts) for category, counts in self._baseline.items()},
                "counts": {str(category): _sparse(counts) for category, counts in self._counts.items()},
                "log_detectors": [value if np.isfinite(value) else None for value in self._log_detectors.tolist()],
                "rng": self.rng.bit_generator.state,
            }
        )

    @classmethod
    def from_json(cls, text: str, reference: Reference | None = None) -> "SequentialAlarm":
        """The alarm whose state `to_json` wrote.

        Raises:
            BadInput: it is not such a state.
        """
        try:
            state: dict[str, Any] = json.loads(text)
            if state["format"] != _FORMAT or len(state["log_detectors"]) != len(BETS) + len(STEPS):
                raise ValueError("it is of another version")
            edges = EDGES if state["edges"] is None else np.array(state["edges"], np.float64)
            bit_generator = getattr(np.random, state["rng"]["bit_generator"])
            rng = np.random.Generator(bit_generator())
            rng.bit_generator.state = state["rng"]
            alarm = cls(reference, arl=state["arl"], rng=rng, baseline=[], edges=edges)
            alarm.seen, alarm.since = int(state["seen"]), state["since"]
            alarm._baseline = {int(key): _dense(counts, alarm.bins) for key, counts in state["baseline"].items()}
            alarm._counts = {int(key): _dense(counts, alarm.bins) for key, counts in state["counts"].items()}
            detectors = [-np.inf if value is None else value for value in state["log_detectors"]]
            alarm._log_detectors = np.array(detectors, np.float64)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise BadInput(f"This is no state of a sequential alarm: {error}.") from error
        return alarm


def _sparse(counts: Counts) -> list[list[int]]:
    """The bins that hold scores, and their counts."""
    bin_indices = np.flatnonzero(counts)
    return [bin_indices.tolist(), counts[bin_indices].tolist()]


def _dense(sparse: list[list[int]], bins: int) -> Counts:
    counts = np.zeros(bins, np.int64)
    counts[np.array(sparse[0], np.int64)] = sparse[1]
    return counts


def _bin_indices(scores: npt.ArrayLike, edges: Floats = EDGES) -> BinIndices:
    values = np.asarray(scores, np.float64).ravel()
    if np.isnan(values).any():
        raise BadInput("A score is not a number (NaN). Give scores as `Reference.score` returns them.", field="scores")
    return np.searchsorted(edges, values, side="right")


def _categories(hours: npt.ArrayLike | None, n: int) -> Categories:
    if hours is None:
        return np.zeros(n, np.int64)
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
    """log f_j(p) of p-values `(n,)`, shape `(n, bets)`."""
    # Exactly 0 and 1 come of rounding only.
    inside = np.clip(p, 1e-300, 1 - 1e-16)[:, None]
    betas = (_A - 1) * np.log(inside) + (_B - 1) * np.log1p(-inside) - _LOG_BETA
    steps = np.log1p(-_SHARE + _SHARE / _WIDTH * (inside <= _WIDTH))
    return np.concatenate([betas, steps], axis=1)
