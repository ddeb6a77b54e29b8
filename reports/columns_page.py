"""Evidently's own report on the recorded columns: confidence, score, class and, for tables, the rows; and the tags.

Tags are counted, not compared: training has none.

Columns of numbers and categories only. Evidently's embedding drift draws a t-SNE and alarms always, and its page weighs
five megabytes: it is written beside our report, never inside it, and never on the request path.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd

from monitor.history.report_material import COLUMN_ROWS, JudgedWindow, ReportMaterial, column_rows
from monitor.history.slices import MOST_TAGS, MOST_VALUES
from monitor.reference.profile import Reference


@dataclass(frozen=True)
class _Comparison:
    """Two tables with the same columns, and the tags that only the window has."""

    training: pd.DataFrame
    window: pd.DataFrame
    numerical: list[str]
    categorical: list[str]
    tags: list[str]


def columns_page(window: JudgedWindow, material: ReportMaterial) -> str | None:
    """Evidently's page, HTML; None where there are no columns that both sides have.

    Args:
        window: what was judged.
        material: with the inputs of the columns' rows.
    """
    if window.reference is None:
        return None
    production = _window_table(window, material)
    training = _training_table(window.reference, window.model.classes)
    shared = [
        name
        for name in training.columns
        if name in production.columns and training[name].notna().any() and production[name].notna().any()
    ]
    if not shared:
        return None
    numerical = [name for name in shared if pd.api.types.is_numeric_dtype(training[name])]
    tags = _tag_table(window, len(production))
    return _draw(
        _Comparison(
            training=training[shared],
            window=pd.concat([production[shared], tags], axis=1),
            numerical=numerical,
            categorical=[name for name in shared if name not in numerical],
            tags=list(tags.columns),
        )
    )


def _draw(comparison: _Comparison) -> str:
    # Evidently warns on import, and takes seconds for it: only the monitor ever imports it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import UniqueValueCount
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(
            numerical_columns=comparison.numerical,
            categorical_columns=[*comparison.categorical, *comparison.tags],
        )
        training = comparison.training
        empty_tag = pd.Series([None] * len(training), dtype=object, index=training.index)
        untagged = training.assign(**dict.fromkeys(comparison.tags, empty_tag))
        sides = [Dataset.from_pandas(side, definition) for side in (comparison.window, untagged)]
        metrics = [
            DataDriftPreset(columns=[*comparison.numerical, *comparison.categorical]),
            *(UniqueValueCount(column=name) for name in comparison.tags),
        ]
        html: str = Report(metrics).run(*sides).get_html_str(as_iframe=False)
    return html


def _window_table(window: JudgedWindow, material: ReportMaterial) -> pd.DataFrame:
    recorded, rows = window.recorded, column_rows(window.recorded)
    table = pd.DataFrame({"ood_score": recorded.scores[rows], "confidence": recorded.confidences[rows]})
    if window.model.classes and (recorded.class_indices >= 0).any():
        table["prediction"] = recorded.predictions[rows]
    if window.model.application == "tabular":
        inputs = [material.raw_inputs.get(id_) for id_ in recorded.ids[rows]]
        records = [{} if raw is None else orjson.loads(raw.content) for raw in inputs]
        table = pd.concat([table, _typed(pd.DataFrame(records))], axis=1)
    return table


def _tag_table(window: JudgedWindow, number_of_rows: int) -> pd.DataFrame:
    """The tags that slice the window into few enough parts to be read."""
    tags = window.recorded.tags[column_rows(window.recorded)]
    columns: dict[str, list[str]] = {}
    for name in sorted({name for row_tags in tags for name in row_tags}):
        values = [str(row_tags.get(name, "none")) for row_tags in tags]
        if len(set(values)) <= MOST_VALUES and len(columns) < MOST_TAGS:
            columns[f"tag: {name}"] = values
    return pd.DataFrame(columns, index=range(number_of_rows), dtype=object)


def _training_table(reference: Reference, classes: Sequence[str]) -> pd.DataFrame:
    held_out = reference.held_out
    table = pd.DataFrame({"ood_score": held_out.scores})
    if held_out.confidences is not None:
        table["confidence"] = held_out.confidences
    if held_out.class_indices is not None and classes:
        table["prediction"] = np.array(classes, dtype=object)[held_out.class_indices]
    records: list[dict[str, Any]] = reference.columns
    if records:
        table = pd.concat([table, _typed(pd.DataFrame(records))], axis=1)
    return table.sample(COLUMN_ROWS, random_state=0) if len(table) > COLUMN_ROWS else table


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as numbers, everything else as text."""

    def typed(column: pd.Series) -> pd.Series:
        return column if pd.api.types.is_numeric_dtype(column) else column.astype("string").astype(object)

    return pd.DataFrame({name: typed(table[name]) for name in table.columns})
