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
from monitor.shift.column_changes import ColumnChange, find_column_changes
from monitor.shift.diagnosis import Cause, cause_of, measure_evidence, sentence_of
from monitor.shift.max_t import GroupPValue, MaxTResult, max_t_test
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
    moved most, first, and `witnesses` the indices of the rows that are most typical of the difference, most typical
    first; both empty where nothing was detected. `columns` are the columns of a table that moved, the largest change first.
    `silent` are the checks that could not be made.
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
    columns: tuple[ColumnChange, ...] = ()
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
        finest: a smaller level at which p-values of a certain shift still have to be told apart; more draws are made for it.

    Raises:
        BadInput: no row is of a class that has held-out rows to compare with.
    """
    kept = np.flatnonzero(~reference.left_out(window.rows))
    if kept.size == 0:
        raise BadInput(
            "No row can be compared: all are of classes with too few held-out rows. Make the reference with held-out "
            "rows of every class.",
            field="embeddings",
        )
    window = window.taking(kept)
    # A generator for each purpose: one more check never changes the numbers of another.
    for_test, for_cause, for_classes, *for_checks = rng.spawn(3 + len(checks))
    features = features_of(reference)
    rows = features.rows(window.rows)
    result = _permutation_test(features, rows, alpha, for_test, checks)
    if finest is not None and finest < alpha and result.p_value <= min(alpha, 2 / (result.draws + 1)):
        # As small as these draws can tell: draw more. Both tests have to say so, which only lowers the error.
        result = _permutation_test(features, rows, finest, for_test, checks)
    outcomes = [
        _describe_check(check, reference, window, result.groups.get(check.name), alpha, generator)
        for check, generator in zip(checks, for_checks, strict=True)
    ]
    detected = result.p_value <= alpha
    cause = Cause.NOTHING
    if detected:
        cause = cause_of(measure_evidence(reference, window, features, rows, for_cause), alpha)
    return WindowTest(
        detected=detected,
        p_value=result.p_value,
        alpha=alpha,
        cause=cause,
        sentence=sentence_of(cause, has_classes=reference.uses_logits),
        checks=tuple(outcome for outcome in outcomes if isinstance(outcome, WindowCheck)),
        classes=_moved_classes(reference, window, cause, for_classes),
        witnesses=kept[witnesses(features, rows, SHOWN)] if detected else np.zeros(0, np.int64),
        silent=tuple(outcome for outcome in outcomes if isinstance(outcome, SkippedCheck)),
        columns=_moved_columns(reference, window, alpha) if detected else (),
        n=len(kept),
        draws=result.draws,
    )


def _moved_classes(
    reference: Reference, window: Window, cause: Cause, rng: np.random.Generator
) -> tuple[ClassShare, ...]:
    if cause is Cause.NOTHING:
        return ()
    # Where rows within a class have changed too, the confusion of held-out rows tells nothing of true classes.
    return tuple(class_mix(reference, window.rows, rng, true_classes=cause is Cause.LABEL_SHIFT))


def _moved_columns(reference: Reference, window: Window, alpha: float) -> tuple[ColumnChange, ...]:
    # Columns are kept of held-out rows alone: they say nothing of a change from an accepted baseline.
    if reference.feature_map_rows is not None or not reference.columns or not window.records:
        return ()
    return find_column_changes(reference.columns, window.records, reference.categories, alpha)


def _permutation_test(
    features: RowFeatures,
    rows: npt.NDArray[np.float32],
    alpha: float,
    rng: np.random.Generator,
    checks: Sequence[Check],
) -> MaxTResult:
    """The statistics of all checks, by permutations of the window's rows and the reference's."""
    reference_rows = features.held_out
    sufficient = max(REFERENCE_ROWS, REFERENCE_ROWS_PER_ROW * len(rows))
    if len(reference_rows) > sufficient:
        reference_rows = reference_rows[np.sort(rng.choice(len(reference_rows), sufficient, replace=False))]
    permutations = number_of_permutations(len(reference_rows) + len(rows), alpha)
    gaps = permuted_gaps(reference_rows, rows, permutations, rng)
    return max_t_test(gaps, features.blocks, groups_of(features, checks))


def groups_of(features: RowFeatures, checks: Sequence[Check] = CHECKS) -> dict[str, tuple[str, ...]]:
    """Names of the blocks that answer each check's question, by the check's name; checks without any are left out."""
    groups = {
        check.name: tuple(block.name for block in features.blocks if block.name.startswith(check.blocks))
        for check in checks
    }
    return {name: blocks for name, blocks in groups.items() if blocks}


def _describe_check(
    check: Check,
    reference: Reference,
    window: Window,
    group: GroupPValue | None,
    alpha: float,
    rng: np.random.Generator,
) -> WindowCheck | SkippedCheck:
    """What one check found: its size and words, and the p-value of its group of statistics; None where it has none."""
    try:
        finding = check.describe(reference, window, rng)
    except NotApplicable as reason:
        return SkippedCheck(check.name, str(reason), failed=False)
    except Exception as error:
        logger.exception("the check %s failed", check.name)
        return SkippedCheck(check.name, f"This check failed: {type(error).__name__}: {error}", failed=True)
    if group is None:
        return SkippedCheck(check.name, "The reference has nothing that this check could look at.", failed=False)
    if not np.isfinite([group.statistic, group.adjusted, finding.effect]).all():
        return SkippedCheck(check.name, f"This check failed: its effect is {finding.effect}.", failed=True)
    detected = group.adjusted <= alpha
    return WindowCheck(
        name=check.name,
        statistic=group.statistic,
        statistic_name=group.strongest,
        p_value=group.adjusted,
        effect=finding.effect,
        effect_name=finding.effect_name,
        detected=detected,
        sentence=finding.loud if detected else finding.quiet,
        loud=finding.loud,
        detail={**finding.detail, "p_value_alone": group.p_value},
    )
