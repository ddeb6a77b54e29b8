"""Evidently's data-drift preset at its defaults."""

import warnings

import numpy as np
import pandas as pd


def drifted(reference: np.ndarray, window: np.ndarray) -> bool:
    """Whether the preset calls the data set drifted: half of the columns or more."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    names = [f"column {index}" for index in range(reference.shape[1])]
    frames = [pd.DataFrame(rows, columns=names) for rows in (window, reference)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = Report([DataDriftPreset()]).run(*frames).dict()
    share = next(
        metric["value"]["share"] for metric in result["metrics"] if "DriftedColumnsCount" in metric["metric_name"]
    )
    return bool(share >= 0.5)
