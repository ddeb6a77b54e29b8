"""Checks of a window against the reference, one per file. A new one registers itself in `CHECKS`."""

from monitor.accuracy.estimate import ACCURACY
from monitor.alarm.state_update import CHANGE
from monitor.checks.base import Check, Finding, NotApplicable
from monitor.checks.confidence_shift import ConfidenceShift
from monitor.checks.covariate_shift import CovariateShift
from monitor.checks.flagged_share import FlaggedShare
from monitor.checks.label_shift import LabelShift
from monitor.checks.prediction_shift import PredictionShift

# Results that are shown and alerted beside the checks of a window.
_OTHER_TITLES = {CHANGE: "Change in the stream", ACCURACY: "Estimated accuracy"}

CHECKS: tuple[Check, ...] = (FlaggedShare(), CovariateShift(), LabelShift(), ConfidenceShift(), PredictionShift())


def title(name: str) -> str:
    """What a check is called in front of people; its name if it is of another version."""
    return next((check.title for check in CHECKS if check.name == name), _OTHER_TITLES.get(name, name))


__all__ = ["ACCURACY", "CHANGE", "CHECKS", "Check", "Finding", "NotApplicable", "title"]
