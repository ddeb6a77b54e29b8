"""Judges a window for the operator: what is certain and large enough to matter is a shift."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.accuracy.estimate import NoEstimate, estimate_rows
from monitor.checks import ACCURACY, CHECKS, Check
from monitor.checks.covariate_shift import CovariateShift
from monitor.checks.window_comparison import SkippedCheck, WindowCheck, WindowTest, run_window_test
from monitor.reference.profile import Reference
from monitor.reference.thin_classes import describe_thin_classes
from monitor.reference.window import Window
from monitor.settings import MonitorSettings
from monitor.shift.column_changes import sentence_of
from store.repositories.runs import CheckResult, Verdict


@dataclass(frozen=True)
class Judgement:
    """What all checks together say of a window. `test` is None where none was made."""

    verdict: Verdict
    sentence: str
    results: tuple[CheckResult, ...]
    test: WindowTest | None = None


def judge(
    reference: Reference,
    window: Window,
    settings: MonitorSettings,
    rng: np.random.Generator,
    checks: Sequence[Check] = CHECKS,
    *,
    alert_alpha: float | None = None,
) -> Judgement:
    """Compare a window with the reference.

    The checks share `settings.alpha`, so that a window without a shift is called shifted with at most that probability.
    A check that fails is recorded as failed, with its reason, and the others go on.

    Args:
        reference: what to compare with.
        window: what to compare.
        settings: what matters.
        rng: all randomness.
        checks: which checks.
        alert_alpha: the level at which a shift raises an alert, by the installation's budget; by default that of
            `settings`.
    """
    level = settings.alpha if alert_alpha is None else min(alert_alpha, settings.alpha)
    missing_rows = settings.minimum_rows - window.total
    if missing_rows > 0:
        sentence = f"Not enough data yet: {window.total:,} predictions; {missing_rows:,} more are needed for a verdict."
        return no_verdict(Verdict.NOT_ENOUGH_DATA, sentence, checks)
    compared = len(window.rows) - int(reference.left_out(window.rows).sum())
    if compared < min(settings.minimum_rows, len(window.rows)):
        return no_verdict(Verdict.NOT_ENOUGH_DATA, _too_few_compared(reference, window, compared, settings), checks)
    test = run_window_test(reference, window, settings.alpha, rng, checks, finest=level)
    by_name = {check.name: check for check in checks}
    results = {outcome.name: _judge_check(outcome, by_name[outcome.name], settings, level) for outcome in test.checks}
    columns = results.get(CovariateShift.name)
    if test.columns and columns is not None and columns.verdict is Verdict.SHIFTED:
        # Alerts repeat this sentence: the columns say what a person can look into.
        results[columns.check] = replace(columns, sentence=f"{columns.sentence} {sentence_of(test.columns)}")
    results |= {skipped.name: _skipped_result(skipped) for skipped in test.silent}
    in_order = (*(results[check.name] for check in checks), _judge_accuracy(reference, window, test, settings))
    return _sum_up(window, reference, test, in_order)


def _judge_check(outcome: WindowCheck, check: Check, settings: MonitorSettings, level: float) -> CheckResult:
    shifted = outcome.detected and check.matters(outcome.effect, settings.matters)
    sentence = outcome.sentence
    if outcome.detected and not shifted:
        sentence += " The difference is certain, but smaller than what is set to matter."
    return CheckResult(
        check=outcome.name,
        verdict=Verdict.SHIFTED if shifted else Verdict.OK,
        sentence=sentence,
        statistic=outcome.statistic,
        p_value=outcome.p_value,
        effect=outcome.effect,
        effect_name=outcome.effect_name,
        detail={**outcome.detail, "statistic": outcome.statistic_name},
        alerting=shifted and outcome.p_value <= level,
    )


def _skipped_result(skipped: SkippedCheck) -> CheckResult:
    return CheckResult(skipped.name, Verdict.FAILED if skipped.failed else Verdict.NOT_APPLICABLE, skipped.reason)


def _judge_accuracy(reference: Reference, window: Window, test: WindowTest, settings: MonitorSettings) -> CheckResult:
    """How much accuracy a shift costs: its severity. It is no part of the checks' error rate, and raises no alert."""
    try:
        estimate = estimate_rows(reference, window.rows)
    except NoEstimate as reason:
        return CheckResult(ACCURACY, Verdict.NOT_APPLICABLE, str(reason))
    harmful = test.detected and estimate.loss >= settings.matters.accuracy_loss
    return CheckResult(
        check=ACCURACY,
        verdict=Verdict.SHIFTED if harmful else Verdict.OK,
        sentence=estimate.sentence,
        statistic=estimate.value,
        effect=estimate.loss,
        effect_name="estimated loss of accuracy",
        detail={
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "held_out": estimate.held_out,
        },
        alerting=False,
    )


def _sum_up(window: Window, reference: Reference, test: WindowTest, results: tuple[CheckResult, ...]) -> Judgement:
    checks = [result for result in results if result.check != ACCURACY]
    shifted = [result for result in checks if result.verdict is Verdict.SHIFTED]
    harm = [result.sentence for result in results if result.check == ACCURACY and result.verdict is Verdict.SHIFTED]
    failed = [result for result in results if result.verdict is Verdict.FAILED]
    applied = [result for result in results if result.verdict is not Verdict.NOT_APPLICABLE]
    failures = f" {len(failed)} of {len(applied)} checks failed; see below." if failed else ""
    if shifted:
        said = [result.sentence for result in shifted]
        columns = sentence_of(test.columns)
        if columns and not any(columns in sentence for sentence in said):
            said.append(columns)
        sentences = [test.sentence, *harm, *said]
        return Judgement(Verdict.SHIFTED, " ".join(sentences) + failures, results, test)
    if any(result.verdict is Verdict.OK for result in checks):
        sentence = f"Nothing has changed: {window.total:,} predictions look like {reference.compared_with}."
        return Judgement(Verdict.OK, sentence + failures, results, test)
    if failed:
        return Judgement(Verdict.FAILED, "No check could be made." + failures, results, test)
    return Judgement(Verdict.NOT_APPLICABLE, "No check applies to this learner.", results, test)


def _too_few_compared(reference: Reference, window: Window, compared: int, settings: MonitorSettings) -> str:
    thin = describe_thin_classes(reference.thin_classes, reference.class_names)
    return (
        f"Not enough data to compare: {compared:,} of {len(window.rows):,} predictions are of classes with held-out rows, "
        f"and {settings.minimum_rows:,} are needed. There are too few held-out rows of {thin}. Make the reference with "
        "held-out rows of every class."
    )


def no_verdict(verdict: Verdict, sentence: str, checks: Sequence[Check] = CHECKS) -> Judgement:
    """The judgement of a window on which no check could be run, for the reason in the sentence."""
    return Judgement(verdict, sentence, tuple(CheckResult(check.name, verdict, sentence) for check in checks))
