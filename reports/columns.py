"""Evidently's own report on the recorded columns: confidence, score, class, tags and, for tables, the rows.

Columns of numbers and categories only. Evidently's embedding drift draws a t-SNE and alarms always, and its page weighs
five megabytes: it is written beside our report, never inside it, and never on the request path.
"""

import warnings
from typing import Any

import numpy as np
import orjson
import pandas as pd

from monitor.watch import Watched
from store import Store

ROWS = 2_000
CATEGORIES = 30


def columns_page(watched: Watched, store: Store) -> str | None:
    """Evidently's page, HTML; None where there are no columns that both sides have."""
    reference = watched.reference
    if reference is None:
        return None
    current = _window(watched, store)
    before = _training(watched)
    shared = [name for name in before.columns if name in current.columns]
    shared = [name for name in shared if before[name].notna().any() and current[name].notna().any()]
    if not shared:
        return None
    numerical = [name for name in shared if pd.api.types.is_numeric_dtype(before[name])]
    categorical = [name for name in shared if name not in numerical]
    return _draw(before[shared], current[shared], numerical, categorical)


def _draw(before: pd.DataFrame, current: pd.DataFrame, numerical: list[str], categorical: list[str]) -> str:
    # A second to import, and only the monitor ever does.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(numerical_columns=numerical, categorical_columns=categorical)
        sides = [Dataset.from_pandas(side, definition) for side in (current, before)]
        html: str = Report([DataDriftPreset()]).run(*sides).get_html_str(as_iframe=False)
    return html


def _window(watched: Watched, store: Store) -> pd.DataFrame:
    recorded = watched.recorded
    step = max(1, -(-len(recorded.ids) // ROWS))
    chosen = slice(None, None, step)
    table = pd.DataFrame({"ood_score": recorded.scores[chosen], "confidence": recorded.confidences[chosen]})
    if watched.model.classes and (recorded.class_indices >= 0).any():
        table["prediction"] = recorded.predictions[chosen]
    if watched.model.application == "tabular":
        ids = recorded.ids[chosen]
        inputs = store.predictions.raw_inputs(ids)
        rows = [orjson.loads(inputs[one].content) if one in inputs else {} for one in ids]
        table = pd.concat([table, _typed(pd.DataFrame(rows))], axis=1)
    return table


def _training(watched: Watched) -> pd.DataFrame:
    assert watched.reference is not None
    held_out = watched.reference.held_out
    table = pd.DataFrame({"ood_score": held_out.scores})
    if held_out.confidences is not None:
        table["confidence"] = held_out.confidences
    if held_out.class_indices is not None and watched.model.classes:
        table["prediction"] = np.array(watched.model.classes, dtype=object)[held_out.class_indices]
    rows: list[dict[str, Any]] = watched.reference.columns
    if rows:
        table = pd.concat([table, _typed(pd.DataFrame(rows))], axis=1)
    return table.sample(min(len(table), ROWS), random_state=0) if len(table) > ROWS else table


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as numbers, everything else as text."""

    def typed(column: pd.Series) -> pd.Series:
        return column if pd.api.types.is_numeric_dtype(column) else column.astype("string").astype(object)

    return pd.DataFrame({name: typed(table[name]) for name in table.columns})
