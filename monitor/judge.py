"""Runs the checks over one window and weighs them together: one error rate for all of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.checks import CHECKS, Check, Finding, NotApplicable
from monitor.reference import Reference
from monitor.settings import MonitorSettings
from monitor.window import Window
from store.runs import CheckResult, Verdict

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judgement:
    """What all checks together say of a window."""

    verdict: Verdict
    sentence: str
    results: tuple[CheckResult, ...]


def judge(
    reference: Reference,
    window: Window,
    settings: MonitorSettings,
    rng: np.random.Generator,
    checks: Sequence[Check] = CHECKS,
) -> Judgement:
    """Compare a window with the reference.

    The checks share `settings.alpha`: their p-values are adjusted together (Holm 1979), so that a window without a
    shift is called shifted with at most that probability. A check that fails is recorded as failed, with its reason,
    and the others go on.
    """
    missing = settings.minimum_rows - window.total
    if missing > 0:
        sentence = f"Not enough data yet: {window.total:,} predictions; {missing:,} more are needed for a verdict."
        return no_verdict(Verdict.NOT_ENOUGH_DATA, sentence, checks)
    # A generator per check: adding or failing one never changes the numbers of another.
    streams = rng.spawn(len(checks))
    found: dict[str, Finding | CheckResult] = {}
    for check, stream in zip(checks, streams, strict=True):
        found[check.name] = _run(check, reference, window, settings, stream)
    findings = {name: finding for name, finding in found.items() if isinstance(finding, Finding)}
    adjusted = dict(zip(findings, holm([finding.p_value for finding in findings.values()]), strict=True))
    results = tuple(
        _weigh(name, finding, adjusted[name], settings.alpha) if isinstance(finding, Finding) else finding
        for name, finding in found.items()
    )
    return _sum_up(window, results)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that all are judged at one family-wise error rate (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _run(
    check: Check, reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
) -> Finding | CheckResult:
    try:
        finding = check(reference, window, settings, rng)
    except NotApplicable as reason:
        return CheckResult(check.name, Verdict.NOT_APPLICABLE, str(reason))
    except Exception as error:
        logger.exception("the check %s failed", check.name)
        return CheckResult(check.name, Verdict.FAILED, f"This check failed: {type(error).__name__}: {error}")
    numbers = (finding.statistic, finding.p_value, finding.effect)
    if not np.isfinite(numbers).all():
        return CheckResult(check.name, Verdict.FAILED, f"This check failed: its numbers are not finite: {numbers}.")
    return finding


def _weigh(name: str, finding: Finding, adjusted: float, alpha: float) -> CheckResult:
    significant = adjusted <= alpha
    sentence = finding.loud if significant and finding.matters else finding.quiet
    if significant and not finding.matters:
        sentence += " The difference is certain, but smaller than what is set to matter."
    return CheckResult(
        check=name,
        verdict=Verdict.SHIFTED if significant and finding.matters else Verdict.OK,
        sentence=sentence,
        statistic=finding.statistic,
        p_value=finding.p_value,
        effect=finding.effect,
        effect_name=finding.effect_name,
        detail={**finding.detail, "adjusted_p_value": adjusted, "alpha": alpha},
    )


def _sum_up(window: Window, results: tuple[CheckResult, ...]) -> Judgement:
    shifted = [result for result in results if result.verdict is Verdict.SHIFTED]
    failed = [result for result in results if result.verdict is Verdict.FAILED]
    judged = [result for result in results if result.verdict is Verdict.OK]
    after = f" {len(failed)} of {len(results)} checks failed; see below." if failed else ""
    if shifted:
        return Judgement(Verdict.SHIFTED, " ".join(result.sentence for result in shifted) + after, results)
    if judged:
        sentence = f"Nothing has changed: {window.total:,} predictions look like the training data."
        return Judgement(Verdict.OK, sentence + after, results)
    if failed:
        return Judgement(Verdict.FAILED, "No check could be made." + after, results)
    return Judgement(Verdict.NOT_APPLICABLE, "No check applies to this learner.", results)


def no_verdict(why: Verdict, sentence: str, checks: Sequence[Check] = CHECKS) -> Judgement:
    """The judgement of a window on which no check could be run, for one reason."""
    return Judgement(why, sentence, tuple(CheckResult(check.name, why, sentence) for check in checks))
