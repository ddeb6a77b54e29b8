"""One verdict for a window, its checks, what carries the shift, and its cause."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.checks import CHECKS, Check, NotApplicable
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.shift.attribution import SHOWN, ClassShare, class_mix, witnesses
from monitor.shift.diagnosis import SENTENCES, Cause, cause_of, measure_evidence
from monitor.shift.max_t import MaxTResult, max_t_test
from monitor.shift.permutation import number_of_permutations, permuted_gaps
from monitor.shift.row_features import RowFeatures, features_of
from store.errors import BadInput

logger = logging.getLogger(__name__)

# Against a small window more rows of the reference add next to nothing.
REFERENCE_ROWS_PER_ROW = 5
REFERENCE_ROWS = 2_500


@dataclass(frozen=True)
class WindowCheck:
    """What one check found.

    `p_value` is adjusted for all checks of the window; `statistic` is the value of its most surprising statistic, named
    `statistic_name`. `effect` is the size of the difference in the unit `effect_name`, whatever its p-value.
    """

    name: str
    statistic: float
    statistic_name: str
    p_value: float
    effect: float
    effect_name: str
    detected: bool
    sentence: str
    loud: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SkippedCheck:
    """A check that has nothing to say, or failed; `reason` says why."""

    name: str
    reason: str
    failed: bool


@dataclass(frozen=True)
class WindowTest:
    """What all checks together say of a window of n rows.

    `detected` is the one verdict: in a window without a shift it is True with probability alpha at most. `p_value` is
    its p-value, at least `1/(draws + 1)`. `cause` says what kind of shift it is. `classes` are the class shares that
    moved most, first, and `witnesses` the places of the rows that are most typical of the difference, most typical
    first; both empty where nothing was detected. `silent` are checks that could not be made.
    """

    detected: bool
    p_value: float
    alpha: float
    cause: Cause
    sentence: str
    checks: tuple[WindowCheck, ...]
    classes: tuple[ClassShare, ...]
    witnesses: npt.NDArray[np.int64]
    silent: tuple[SkippedCheck, ...] = ()
    n: int = 0
    draws: int = 0


def check_window(
    reference: Reference,
    embeddings: npt.ArrayLike,
    logits: npt.ArrayLike | None = None,
    *,
    alpha: float = 0.01,
    rng: np.random.Generator,
) -> WindowTest:
    """Is this window like the reference's rows?

    Args:
        reference: made by `fit_reference`.
        embeddings: shape `(n, d)`, n ≥ 1.
        logits: shape `(n, c)`, if the reference was fitted with logits.
        alpha: probability of a detection in a window without a shift; at least 1/5,000.
        rng: all randomness.

    Raises:
        BadInput: no rows, another number of dimensions or classes than the reference's, or an alpha that is none.
    """
    if not 2e-4 <= alpha < 1:
        raise BadInput(f"alpha must lie between 0.0002 and 1, and {alpha:g} came.", field="alpha")
    rows = reference.rows(embeddings, logits)
    if len(rows) == 0:
        raise BadInput("The window holds no rows: give at least one.", field="embeddings")
    return run_window_test(reference, Window.of_rows(reference, rows), alpha, rng)


def run_window_test(
    reference: Reference,
    window: Window,
    alpha: float,
    rng: np.random.Generator,
    checks: Sequence[Check] = CHECKS,
    *,
    finest: float | None = None,
) -> WindowTest:
    """`check_window` for rows that are scored already.

    Args:
        reference: what to compare with.
        window: what to compare.
        alpha: as `check_window`.
        rng: all randomness.
        checks: which checks.
        finest: a smaller level that a certain shift's p-values are to be told from; more draws are made for it.
    """
    # A generator for each purpose: one more check never changes the numbers of another.
    for_test, for_cause, for_classes, *for_checks = rng.spawn(3 + len(checks))
    features = features_of(reference)
    now = features.rows(window.rows)
    family = _family(features, now, alpha, for_test, checks)
    if finest is not None and finest < alpha and family.p_value <= min(alpha, 2 / (family.draws + 1)):
        # As small as these draws can tell: draw more. Both tests have to say so, which only lowers the error.
        family = _family(features, now, finest, for_test, checks)
    found: list[WindowCheck] = []
    silent: list[SkippedCheck] = []
    for check, stream in zip(checks, for_checks, strict=True):
        one = _described(check, reference, window, family, alpha, stream)
        (found if isinstance(one, WindowCheck) else silent).append(one)  # type: ignore[arg-type]
    detected = family.p_value <= alpha
    cause = Cause.NOTHING
    if detected:
        cause = cause_of(measure_evidence(reference, window, features, now, for_cause), alpha)
    return WindowTest(
        detected=detected,
        p_value=family.p_value,
        alpha=alpha,
        cause=cause,
        sentence=SENTENCES[cause],
        checks=tuple(found),
        classes=_classes(reference, window, cause, for_classes),
        witnesses=witnesses(features, now, SHOWN) if detected else np.zeros(0, np.int64),
        silent=tuple(silent),
        n=len(window.rows),
        draws=family.draws,
    )


def _classes(reference: Reference, window: Window, cause: Cause, rng: np.random.Generator) -> tuple[ClassShare, ...]:
    if cause is Cause.NOTHING:
        return ()
    # Where rows within a class have changed too, the confusion of held-out rows tells nothing of true classes.
    return tuple(class_mix(reference, window.rows, rng, true_classes=cause is Cause.LABEL_SHIFT))


def _family(
    features: RowFeatures, now: npt.NDArray[np.float32], alpha: float, rng: np.random.Generator, checks: Sequence[Check]
) -> MaxTResult:
    before = features.held_out
    enough = max(REFERENCE_ROWS, REFERENCE_ROWS_PER_ROW * len(now))
    if len(before) > enough:
        before = before[np.sort(rng.choice(len(before), enough, replace=False))]
    gaps = permuted_gaps(before, now, number_of_permutations(len(before) + len(now), alpha), rng)
    return max_t_test(gaps, features.blocks, groups_of(features, checks))


def groups_of(features: RowFeatures, checks: Sequence[Check] = CHECKS) -> dict[str, tuple[str, ...]]:
    """Which blocks answer which check's question; checks without any are left out."""
    named = {
        check.name: tuple(block.name for block in features.blocks if block.name.startswith(check.blocks))
        for check in checks
    }
    return {name: blocks for name, blocks in named.items() if blocks}


def _described(
    check: Check, reference: Reference, window: Window, family: MaxTResult, alpha: float, rng: np.random.Generator
) -> WindowCheck | SkippedCheck:
    try:
        finding = check.describe(reference, window, rng)
    except NotApplicable as reason:
        return SkippedCheck(check.name, str(reason), failed=False)
    except Exception as error:
        logger.exception("the check %s failed", check.name)
        return SkippedCheck(check.name, f"This check failed: {type(error).__name__}: {error}", failed=True)
    weighed = family.groups.get(check.name)
    if weighed is None:
        return SkippedCheck(check.name, "The reference has nothing that this check could look at.", failed=False)
    if not np.isfinite([weighed.statistic, weighed.adjusted, finding.effect]).all():
        return SkippedCheck(check.name, f"This check failed: its effect is {finding.effect}.", failed=True)
    detected = weighed.adjusted <= alpha
    return WindowCheck(
        name=check.name,
        statistic=weighed.statistic,
        statistic_name=weighed.strongest,
        p_value=weighed.adjusted,
        effect=finding.effect,
        effect_name=finding.effect_name,
        detected=detected,
        sentence=finding.loud if detected else finding.quiet,
        loud=finding.loud,
        detail={**finding.detail, "p_value_alone": weighed.p_value},
    )
