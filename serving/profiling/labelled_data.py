"""Labelled inputs: from a folder of pictures or texts, or from a table of rows, of texts, or of file names. The content of
an input is read when it is needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from serving.learner.adapters.base import Adapter
from serving.learner.adapters.tabular import Tabular, raw_row
from serving.learner.adapters.text import raw_text
from serving.learner.adapters.vision import media_type_of
from store.errors import BadInput
from store.recording.prediction_batch import RawInput

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
TEXT_ENDINGS = {".txt"}
_TEXT_COLUMNS = ("text", "texts", "sentence", "review", "message", "content", "body")
_LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "y")


@dataclass(frozen=True)
class LabelledInput:
    """One input: its `name` for people, its `label` where known, and `read`, which returns its content."""

    name: str
    label: str | None
    read: Callable[[], RawInput]


def labelled_inputs(
    path: Path, adapter: Adapter, tell: Callable[[str], None] = lambda _note: None
) -> list[LabelledInput]:
    """The inputs at a path.

    Args:
        path: a folder of pictures or of .txt files, whose sub-folders are taken for classes; or a CSV whose rows are inputs
            of a tabular learner, hold texts and labels, or name picture files and labels.
        adapter: the learner's adapter, which decides what a CSV means.
        tell: called with what a person may want to know of the data as a whole.

    Raises:
        BadInput: nothing there that this learner can use.
    """
    takes_texts = adapter.takes == "texts"
    if path.is_dir():
        inputs = _inputs_in_folder(path, TEXT_ENDINGS if takes_texts else IMAGE_ENDINGS)
    elif path.is_file():
        table = _read_table(path)
        if isinstance(adapter, Tabular):
            inputs = _inputs_from_rows(path, table, adapter, tell)
        else:
            inputs = _inputs_from_texts(path, table) if takes_texts else _inputs_from_files(path, table)
    else:
        raise BadInput(f"{path} is not there. Name a folder of {'texts' if takes_texts else 'pictures'} or a CSV file.")
    if not inputs:
        raise BadInput(f"{path} holds nothing that this {adapter.application} learner can use.")
    return inputs


def _inputs_in_folder(folder: Path, endings: set[str]) -> list[LabelledInput]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in endings)
    return [
        LabelledInput(
            str(file.relative_to(folder)), None if file.parent == folder else file.parent.name, _file_reader(file)
        )
        for file in files
    ]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise BadInput(f"{path} can't be read as CSV: {error}") from error


def _inputs_from_rows(
    path: Path, table: pd.DataFrame, adapter: Tabular, tell: Callable[[str], None]
) -> list[LabelledInput]:
    # The target is in every table of labelled rows, and nothing to tell.
    for note in adapter.check_columns([str(name) for name in table.columns if name != adapter.target], "table"):
        tell(f"{path.name}: {note}.")
    rows = plain_rows(table[[*adapter.categorical, *adapter.continuous]])
    has_labels = adapter.target in table.columns
    labels = [str(label) for label in table[adapter.target]] if has_labels else [None] * len(rows)
    return [
        LabelledInput(f"row {number}", label, _memory_reader(raw_row(row)))
        for number, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain values; missing ones as None."""
    columns = {name: table[name].astype(object).where(table[name].notna(), None).tolist() for name in table.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _inputs_from_files(path: Path, table: pd.DataFrame) -> list[LabelledInput]:
    text_columns = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    file_column = (
        next((name for name in text_columns if (path.parent / str(table[name].iloc[0])).is_file()), None)
        if len(table)
        else None
    )
    if file_column is None:
        raise BadInput(
            f"No column of {path} names picture files beside it. One column must hold paths relative to {path.parent}."
        )
    return [
        LabelledInput(str(name), label, _file_reader(path.parent / str(name)))
        for name, label in zip(table[file_column], _labels_beside(table, file_column), strict=True)
    ]


def _inputs_from_texts(path: Path, table: pd.DataFrame) -> list[LabelledInput]:
    text_columns = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    if not text_columns:
        raise BadInput(f"No column of {path} holds texts.")
    named = next((name for name in text_columns if str(name).lower() in _TEXT_COLUMNS), None)
    # Where no column is named like one of texts, the one with the longest values is taken.
    column = named or max(text_columns, key=lambda name: table[name].astype(str).str.len().mean())
    return [
        LabelledInput(f"row {number}", label, _memory_reader(raw_text(str(content))))
        for number, (content, label) in enumerate(zip(table[column], _labels_beside(table, column), strict=True))
        if content == content
    ]


def _labels_beside(table: pd.DataFrame, input_column: str) -> list[str | None]:
    """The labels beside a column of inputs: a column named as one, or else the first other one."""
    candidates = [name for name in table.columns if name != input_column]
    first = candidates[0] if candidates else None
    label_column = next((name for name in candidates if str(name).lower() in _LABEL_COLUMNS), first)
    values: Sequence[Any] = [None] * len(table) if label_column is None else table[label_column].tolist()
    return [None if value is None or value != value else str(value) for value in values]


def _file_reader(file: Path) -> Callable[[], RawInput]:
    def read() -> RawInput:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise BadInput(f"{file} can't be read: {error.strerror}.") from error
        return RawInput("text/plain" if file.suffix.lower() in TEXT_ENDINGS else media_type_of(content), content)

    return read


def _memory_reader(raw: RawInput) -> Callable[[], RawInput]:
    return lambda: raw
