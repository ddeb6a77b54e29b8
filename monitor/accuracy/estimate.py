"""Accuracy of a window estimated without labels, with an interval."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from monitor.reference.conformal import conformal_p_values
from monitor.reference.profile import Reference
from monitor.reference.rows import ClassIndices, Floats, Floats32, Rows
from monitor.reference.scorers import Features
from store.errors import BadInput

# The name under which the estimate stands among the checks of a window.
ACCURACY = "estimated_accuracy"

NEIGHBOURS = 10
# Inputs whose conformal p-value is at most this are counted at chance, however confident the learner is.
STRANGE_P_VALUE = 0.01
LEVEL = 0.95
# The share of the estimated change that is added to either side of the interval.
CHANGE_DOUBT = 1 / 3
# A change of accuracy below this is described as none.
SMALLEST_CHANGE = 0.02


class NoEstimate(BadInput):
    """Accuracy can't be estimated for this learner and reference; the message says what is missing."""


@dataclass(frozen=True)
class AccuracyEstimate:
    """Estimated accuracy of n rows. All accuracies are shares from 0 to 1.

    Attributes:
        value: the estimate.
        low: lower end of its 95 % interval.
        high: upper end of it.
        held_out: the accuracy on the reference's rows.
        parts: the two estimates whose mean is `value`, "confidence" and "agreement".
        n: how many rows.
    """

    value: float
    low: float
    high: float
    held_out: float
    parts: dict[str, float]
    n: int

    @property
    def loss(self) -> float:
        """How much accuracy is estimated to be lost; negative where it is gained."""
        return self.held_out - self.value

    @property
    def sentence(self) -> str:
        """The estimate in plain words."""
        numbers = f"{self.value:.1%} estimated ({self.low:.1%} to {self.high:.1%}), {self.held_out:.1%} before"
        direction = "fallen" if self.loss > 0 else "risen"
        if not self.low <= self.held_out <= self.high:
            return f"Accuracy has {direction}: {numbers}."
        if abs(self.loss) >= SMALLEST_CHANGE:
            return f"Accuracy may have {direction}, which can't be told for sure without labels: {numbers}."
        return f"Accuracy is about what it was: {numbers}."


def estimate_accuracy(reference: Reference, logits: npt.ArrayLike, embeddings: npt.ArrayLike) -> AccuracyEstimate:
    """Estimate the accuracy of a window without labels.

    The mean of two estimates that err differently: the average calibrated confidence (temperature by maximum
    likelihood, Guo et al. 2017) with inputs stranger than 99 % of held-out ones counted at chance; and the share of
    rows above a threshold of confidence and agreement with the ten nearest training labels, set where held-out rows
    have their own accuracy (average thresholded confidence, Garg et al. 2022). The interval covers the sampling of both
    sides, the disagreement of the two, a third of the estimated change (held-out rows teach less the further a window
    is from them), and what strange inputs might be.

    Args:
        reference: fitted with logits and with labels of the held-out rows.
        logits: shape `(n, c)`.
        embeddings: shape `(n, d)`.

    Raises:
        NoEstimate: the learner predicts no classes, or the reference knows no labels of held-out rows.
        BadInput: no rows, or shapes that are not the reference's.
    """
    rows = reference.rows(embeddings, logits)
    if len(rows) == 0:
        raise BadInput("The window holds no rows: give at least one.", field="embeddings")
    return estimate_rows(reference, rows)


def estimate_rows(reference: Reference, rows: Rows) -> AccuracyEstimate:
    """`estimate_accuracy` for rows that are scored already.

    Raises:
        NoEstimate: as `estimate_accuracy`.
    """
    held_out = reference.held_out
    if held_out.logits is None or rows.logits is None:
        raise NoEstimate("This learner predicts no classes, so its accuracy can't be estimated from probabilities.")
    if held_out.labels is None:
        raise NoEstimate(
            "Accuracy can't be estimated: the reference knows no labels of its held-out rows. "
            "Make it with labelled held-out data."
        )
    calibrated = _Calibrated.on_held_out(reference, held_out.labels)
    n, m = len(rows), len(held_out)
    chance = 1 / held_out.logits.shape[1]
    correct, strange = calibrated.correctness(reference, rows)
    by_confidence = float(np.clip(correct.mean() + calibrated.offset, 0, 1))
    by_agreement = float((calibrated.certainty(reference, rows) >= calibrated.threshold).mean())
    value = (by_confidence + by_agreement) / 2
    spread = np.sqrt(max(value * (1 - value), 1 / (4 * n)) / n + calibrated.accuracy * (1 - calibrated.accuracy) / m)
    half = float(stats.norm.ppf((1 + LEVEL) / 2) * spread) + abs(by_confidence - by_agreement) / 2
    # The calibration on held-out rows is worth less the further a window is from them.
    half += CHANGE_DOUBT * abs(calibrated.accuracy - value)
    share = float(strange.mean())
    return AccuracyEstimate(
        value=value,
        low=max(0.0, value - half - share * chance),
        high=min(1.0, value + half + share * (1 - chance) / 2),
        held_out=calibrated.accuracy,
        parts={"confidence": by_confidence, "agreement": by_agreement},
        n=n,
    )


def correctness(reference: Reference, rows: Rows) -> Floats:
    """The probability that each row is predicted rightly, `(n,)`: calibrated confidence (Guo et al. 2017), or chance.

    Chance is one over the number of classes, for inputs stranger than 99 % of held-out ones.

    Raises:
        NoEstimate: as `estimate_accuracy`.
    """
    if reference.held_out.labels is None or reference.held_out.logits is None:
        raise NoEstimate("The probability of being right needs logits and labels of held-out rows.")
    calibrated = _Calibrated.on_held_out(reference, reference.held_out.labels)
    return calibrated.correctness(reference, rows)[0]


@dataclass(frozen=True)
class _Calibrated:
    """The numbers of the estimate that are fitted on held-out rows.

    Attributes:
        temperature: by which logits are divided.
        accuracy: on the held-out rows.
        offset: what is added to the mean probability of being right, so that it is the accuracy on held-out rows.
        threshold: the certainty that as many held-out rows reach as are right.
    """

    temperature: float
    accuracy: float
    offset: float
    threshold: float

    @classmethod
    def on_held_out(cls, reference: Reference, labels: ClassIndices) -> "_Calibrated":
        held_out = reference.held_out
        assert held_out.logits is not None
        assert held_out.class_indices is not None
        accuracy = float((held_out.class_indices == labels).mean())
        temperature = fitted_temperature(held_out.logits, labels)
        scaled = cls(temperature, accuracy, 0.0, 0.0)
        offset = accuracy - float(scaled.correctness(reference, held_out)[0].mean())
        certainties = np.sort(scaled.certainty(reference, held_out))
        wrong = round((1 - accuracy) * certainties.size)
        return cls(temperature, accuracy, offset, float(certainties[min(wrong, certainties.size - 1)]))

    def correctness(self, reference: Reference, rows: Rows) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The probability that each row is predicted rightly, and whether it is strange, both `(n,)`."""
        probabilities = _scaled_probabilities(rows, self.temperature)
        held_out_scores = np.sort(reference.held_out.scores)
        strange = conformal_p_values(held_out_scores, rows.scores) <= max(
            STRANGE_P_VALUE, 1 / (held_out_scores.size + 1)
        )
        chance = 1 / probabilities.shape[1]
        return np.where(strange, chance, probabilities.max(axis=1)), strange

    def certainty(self, reference: Reference, rows: Rows) -> Floats:
        """The confidence plus the share of nearest training rows that agree with it, `(n,)`; −1 if not finite."""
        certainty: Floats = _scaled_probabilities(rows, self.temperature).max(axis=1) + _agreement(reference, rows)
        return np.where(rows.finite, certainty, -1.0)


def fitted_temperature(logits: Floats32, labels: ClassIndices) -> float:
    """The temperature, between e⁻³ and e³, that makes the held-out labels likeliest (Guo et al. 2017).

    Args:
        logits: shape `(m, c)`.
        labels: class indices, shape `(m,)`.
    """
    rows = np.arange(labels.size)

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def _scaled_probabilities(rows: Rows, temperature: float) -> Floats:
    assert rows.logits is not None
    usable = np.where(rows.finite[:, None], rows.logits, np.float32(0)).astype(np.float64)
    probabilities: Floats = softmax(usable / temperature, axis=1)
    return probabilities


def _agreement(reference: Reference, rows: Rows) -> Floats:
    """The share of each row's nearest training rows that are of its predicted class, `(n,)`."""
    assert rows.class_indices is not None
    embeddings = np.where(rows.finite[:, None], rows.embeddings, np.float32(0))
    coreset_indices, _ = reference.neighbours.nearest(Features(embeddings, None), NEIGHBOURS)
    share: Floats = (reference.neighbours.classes[coreset_indices] == rows.class_indices[:, None]).mean(axis=1)
    return share
