"""Evidently's own report on the recorded columns: confidence, score, class and, for tables, the rows; and the tags.

Tags are counted, not compared: training has none.

Columns of numbers and categories only. Evidently's embedding drift draws a t-SNE and alarms always, and its page weighs
five megabytes: it is written beside our report, never inside it, and never on the request path.
"""

import warnings
from typing import Any

import numpy as np
import orjson
import pandas as pd

from monitor.history.slices import MOST_TAGS, MOST_VALUES
from monitor.passes.monitor_pass import PassResult
from store.store import Store

ROWS = 2_000


def columns_page(watched: PassResult, store: Store) -> str | None:
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
    tags = _tags(watched, len(current))
    current = pd.concat([current[shared], tags], axis=1)
    return _draw(before[shared], current, numerical, categorical, list(tags.columns))


def _draw(
    before: pd.DataFrame, current: pd.DataFrame, numerical: list[str], categorical: list[str], tags: list[str]
) -> str:
    # Seconds to import, and only the monitor ever does.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import UniqueValueCount
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(numerical_columns=numerical, categorical_columns=[*categorical, *tags])
        untagged = before.assign(
            **{name: pd.Series([None] * len(before), dtype=object, index=before.index) for name in tags}
        )
        sides = [Dataset.from_pandas(side, definition) for side in (current, untagged)]
        metrics = [
            DataDriftPreset(columns=[*numerical, *categorical]),
            *(UniqueValueCount(column=name) for name in tags),
        ]
        html: str = Report(metrics).run(*sides).get_html_str(as_iframe=False)
    return html


def _window(watched: PassResult, store: Store) -> pd.DataFrame:
    recorded, chosen = watched.recorded, _chosen(watched)
    table = pd.DataFrame({"ood_score": recorded.scores[chosen], "confidence": recorded.confidences[chosen]})
    if watched.model.classes and (recorded.class_indices >= 0).any():
        table["prediction"] = recorded.predictions[chosen]
    if watched.model.application == "tabular":
        ids = recorded.ids[chosen]
        inputs = store.predictions.raw_inputs(ids)
        rows = [orjson.loads(inputs[one].content) if one in inputs else {} for one in ids]
        table = pd.concat([table, _typed(pd.DataFrame(rows))], axis=1)
    return table


def _chosen(watched: PassResult) -> slice:
    return slice(None, None, max(1, -(-len(watched.recorded.ids) // ROWS)))


def _tags(watched: PassResult, rows: int) -> pd.DataFrame:
    """The tags that slice the window into few enough parts to be read."""
    tags = watched.recorded.tags[_chosen(watched)]
    found: dict[str, list[str]] = {}
    for name in sorted({name for one in tags for name in one}):
        values = [str(one.get(name, "none")) for one in tags]
        if len(set(values)) <= MOST_VALUES and len(found) < MOST_TAGS:
            found[f"tag: {name}"] = values
    return pd.DataFrame(found, index=range(rows), dtype=object)


def _training(watched: PassResult) -> pd.DataFrame:
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
    return table.sample(ROWS, random_state=0) if len(table) > ROWS else table


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as numbers, everything else as text."""

    def typed(column: pd.Series) -> pd.Series:
        return column if pd.api.types.is_numeric_dtype(column) else column.astype("string").astype(object)

    return pd.DataFrame({name: typed(table[name]) for name in table.columns})
