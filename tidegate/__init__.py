"""Tidegate: serve an exported fastai learner, record every prediction, and notice when production leaves training.

    from tidegate import profile
    profile(learn).save("digits.reference")

Names are imported when they are first used, so that `import tidegate` takes milliseconds. Import it before fastai: where
torchvision does not fit torch, it is what makes `from fastai.vision.all import *` work.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tidegate.notebook_display import register_html
from tidegate.shadowed_packages import check_shadowed_packages
from tidegate.torchvision_import import prepare_torchvision_import

if TYPE_CHECKING:
    from monitor.accuracy.audited import audited_accuracy
    from monitor.accuracy.estimate import estimate_accuracy
    from monitor.accuracy.realized import realized_accuracy
    from monitor.alarm.sequential import SequentialAlarm
    from monitor.checks.window_comparison import check_window
    from monitor.reference.fit import fit_reference
    from monitor.reference.profile import Reference
    from monitor.reference.scores import Scores
    from reports.drift import DriftReport
    from serving.client import AsyncClient, Client, Prediction
    from serving.learner.torchvision_operators import declare_missing_operators
    from store.errors import TidegateError
    from tidegate.notebook import profile, report
    from tidegate.notebook_server import serve

    __version__: str

_HOMES = {
    "AsyncClient": "serving.client",
    "Client": "serving.client",
    "Prediction": "serving.client",
    "serve": "tidegate.notebook_server",
    "DriftReport": "reports.drift",
    "Reference": "monitor.reference.profile",
    "Scores": "monitor.reference.scores",
    "SequentialAlarm": "monitor.alarm.sequential",
    "TidegateError": "store.errors",
    "declare_missing_operators": "serving.learner.torchvision_operators",
    "check_window": "monitor.checks.window_comparison",
    "estimate_accuracy": "monitor.accuracy.estimate",
    "realized_accuracy": "monitor.accuracy.realized",
    "audited_accuracy": "monitor.accuracy.audited",
    "fit_reference": "monitor.reference.fit",
    "profile": "tidegate.notebook",
    "report": "tidegate.notebook",
}

__all__ = [
    "AsyncClient",
    "Client",
    "DriftReport",
    "Prediction",
    "Reference",
    "Scores",
    "SequentialAlarm",
    "TidegateError",
    "audited_accuracy",
    "check_window",
    "declare_missing_operators",
    "estimate_accuracy",
    "fit_reference",
    "profile",
    "realized_accuracy",
    "report",
    "serve",
]

register_html()
prepare_torchvision_import()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tidegate")
    if name not in _HOMES:
        raise AttributeError(f"module 'tidegate' has no attribute {name!r}")
    check_shadowed_packages()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
