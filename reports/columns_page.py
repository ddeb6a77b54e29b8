"""Evidently's own report on the recorded columns: confidence, score, class and, for tables, the rows; and the tags.

Tags are counted, not compared: training has none.

Columns of numbers and categories only. Evidently's embedding drift draws a t-SNE and alarms always, and its page weighs
five megabytes: it is written beside our report, never inside it, and never on the request path.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from monitor.history.report_material import COLUMN_ROWS, JudgedWindow, ReportMaterial, column_rows
from monitor.history.slices import MOST_TAGS, MOST_VALUES
from monitor.reference.profile import Reference
from monitor.shift.table_columns import TABLES, Record, category_name, record_of, shared_columns

logger = logging.getLogger(__name__)

PREDICTION = "prediction"
MOST_CATEGORIES = 50

# The values of each column, by its name.
_Side = dict[str, Any]


@dataclass(frozen=True)
class _Comparison:
    """Two tables with the same columns, and the tags that only the window has."""

    training: pd.DataFrame
    window: pd.DataFrame
    numerical: list[str]
    categorical: list[str]
    tags: list[str]


@dataclass(frozen=True)
class ColumnsPage:
    """Evidently's page, HTML, or the reason in words why there is none."""

    html: str | None
    reason: str | None = None


def columns_page(window: JudgedWindow, material: ReportMaterial) -> ColumnsPage:
    """Evidently's page of a window. Where Evidently fails, one line of the log says so, and the reason is returned.

    Args:
        window: what was judged.
        material: with the inputs of the columns' rows.
    """
    if window.reference is None:
        return ColumnsPage(None, "There is no reference to compare columns with.")
    comparison = _compare(window, window.reference, material)
    if comparison is None:
        return ColumnsPage(None, "No column has values both in training and in this window.")
    try:
        return ColumnsPage(_draw(comparison))
    except Exception as error:  # noqa: BLE001 - another library's page, of columns of any kind
        # Our own report goes out without it.
        reason = f"Evidently could not draw the columns ({type(error).__name__}: {_first_line(error)})."
        logger.warning("run %s has no page on its columns: %s", window.run.id, reason)
        return ColumnsPage(None, reason)


def _compare(window: JudgedWindow, reference: Reference, material: ReportMaterial) -> _Comparison | None:
    """What both sides have, each column as one kind; None where that is nothing."""
    sides = [_training_numbers(reference, window.model.classes), _window_numbers(window)]
    numerical = [name for name in sides[0] if name in sides[1] and name != PREDICTION]
    categorical = [name for name in sides[0] if name in sides[1] and name == PREDICTION]
    if window.model.application in TABLES:
        for column in shared_columns(reference.columns, _window_rows(window, material), reference.categories):
            sides[0][column.name], sides[1][column.name] = column.training, column.window
            (numerical if column.is_numeric else categorical).append(column.name)
    training, production = (
        pd.DataFrame(
            {name: _series(side[name], name in numerical) for name in (*numerical, *categorical)},
            index=range(max((len(side[name]) for name in (*numerical, *categorical)), default=0)),
        )
        for side in sides
    )
    shared = [name for name in training.columns if training[name].notna().any() and production[name].notna().any()]
    if not shared:
        return None
    categorical = [name for name in categorical if name in shared]
    for name in categorical:
        training[name], production[name] = _common_categories(training[name], production[name])
    if len(training) > COLUMN_ROWS:
        training = training.sample(COLUMN_ROWS, random_state=0)
    tags = _tag_table(window, len(production))
    return _Comparison(
        training=training[shared],
        window=pd.concat([production[shared], tags], axis=1),
        numerical=[name for name in numerical if name in shared],
        categorical=categorical,
        tags=list(tags.columns),
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


def _window_numbers(window: JudgedWindow) -> _Side:
    recorded, rows = window.recorded, column_rows(window.recorded)
    side: _Side = {"ood_score": recorded.scores[rows], "confidence": recorded.confidences[rows]}
    if window.model.classes and (recorded.class_indices >= 0).any():
        side[PREDICTION] = recorded.predictions[rows]
    return side


def _training_numbers(reference: Reference, classes: Sequence[str]) -> _Side:
    held_out = reference.held_out
    side: _Side = {"ood_score": held_out.scores}
    if held_out.confidences is not None:
        side["confidence"] = held_out.confidences
    if held_out.class_indices is not None and classes:
        side[PREDICTION] = np.array(classes, dtype=object)[held_out.class_indices].tolist()
    return side


def _window_rows(window: JudgedWindow, material: ReportMaterial) -> list[Record]:
    """The rows of the window as they came, one for each prediction; empty where the input was not kept."""
    inputs = (material.raw_inputs.get(id_) for id_ in window.recorded.ids[column_rows(window.recorded)])
    return [{} if raw is None else record_of(raw) for raw in inputs]


def _series(values: Sequence[Any], is_numeric: bool) -> pd.Series:
    """Numbers as numbers; everything else, such as true and false or a date, as text."""
    if is_numeric:
        numbers = pd.Series([np.nan if value is None else value for value in values], dtype=np.float64)
        return numbers.where(np.isfinite(numbers))
    return pd.Series([None if value is None else _text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else category_name(value)


def _common_categories(training: pd.Series, window: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Both sides with all but the most frequent categories counted together: a page of thousands says nothing."""
    counts = pd.concat([training, window]).value_counts()
    if len(counts) <= MOST_CATEGORIES:
        return training, window
    common = set(counts.index[: MOST_CATEGORIES - 1])
    others = f"{len(counts) - len(common):,} other values"

    def shortened(side: pd.Series) -> pd.Series:
        return side.where(side.isna() | side.isin(common), others)

    return shortened(training), shortened(window)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:200]


def _tag_table(window: JudgedWindow, number_of_rows: int) -> pd.DataFrame:
    """The tags that slice the window into few enough parts to be read."""
    tags = window.recorded.tags[column_rows(window.recorded)]
    columns: dict[str, list[str]] = {}
    for name in sorted({name for row_tags in tags for name in row_tags}):
        values = [str(row_tags.get(name, "none")) for row_tags in tags]
        if len(set(values)) <= MOST_VALUES and len(columns) < MOST_TAGS:
            columns[f"tag: {name}"] = values
    return pd.DataFrame(columns, index=range(number_of_rows), dtype=object)
