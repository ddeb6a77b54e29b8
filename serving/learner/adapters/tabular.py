"""Rows: checked column by column, then transformed by the learner's own procs."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import torch

from serving.learner.adapters.base import Adapter, Collated, Item, Limits, as_plain_tensor, in_one_line
from serving.learner.adapters.categories import Categories, plain_value
from serving.learner.adapters.tabular_steps import TableSteps, table_steps_of
from serving.learner.decoding import decode_table
from store.errors import BadInput, BadLearner
from store.recording.prediction_batch import RawInput

# fastai makes tensors of pandas' read-only columns and only reads them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

_EXAMPLES = 9
_LARGEST = float(np.finfo(np.float32).max)


class Tabular(Adapter):
    """A learner over rows of a table."""

    application: ClassVar[str] = "tabular"
    takes: ClassVar[Literal["pictures", "rows", "texts"]] = "rows"

    def __init__(self, learner: Any, limits: Limits) -> None:
        from fastai.tabular.core import FillMissing

        self._dls = learner.dls
        self.decode_targets = decode_table(learner)
        self.target = str(learner.dls.y_names[0]) if learner.dls.y_names else None
        procs = self._dls.train_ds.procs
        fill = next((proc for proc in procs.fs if isinstance(proc, FillMissing)), None)
        self._fill_values: dict[str, Any] = {} if fill is None else dict(fill.na_dict)
        added_columns = {f"{name}_na" for name in self._fill_values} if fill is not None and fill.add_col else set()
        self.categorical = [name for name in self._dls.cat_names if name not in added_columns]
        self.continuous = list(self._dls.cont_names)
        classes = getattr(procs, "categorify", None)
        self._categories = {
            name: Categories(classes.classes[name] if classes is not None and name in classes.classes else ())
            for name in self.categorical
        }
        self._required_columns = [*self.categorical, *self.continuous]
        unnamed = [name for name in self._required_columns if not isinstance(name, str)]
        if unnamed:
            raise BadLearner(
                f"The learner's columns have numbers for names, such as {unnamed[0]!r}, and JSON has texts only. Name the "
                "columns (`table.columns = table.columns.astype(str)`), train again, and export."
            )
        self._table_steps: TableSteps | None = None
        try:
            self._collate_by_fastai([self.decode(self.examples()[0]).content])
        except BadLearner:
            raise
        except Exception as error:
            raise BadLearner(
                f"The learner's table steps fail on a plain row: {type(error).__name__}: {in_one_line(error)}. "
                f"Its procs are {in_one_line(procs)}."
            ) from error
        steps = table_steps_of(self._dls, self.continuous)
        if steps is not None and self._matches_fastai(steps):
            self._table_steps = steps

    @classmethod
    def serves(cls, learner: Any) -> bool:
        from fastai.tabular.core import Tabular as Table

        return isinstance(learner.dls.train_ds, Table)

    def decode(self, raw: RawInput) -> Item:
        row = orjson.loads(raw.content)
        if not isinstance(row, dict):
            raise BadInput("A row must be an object that gives each column its value.")
        notes = self.check_columns(list(row), "row")
        checked: dict[str, Any] = {name: self._check_category(name, row[name], notes) for name in self.categorical}
        checked |= {name: self._check_number(name, row[name], notes) for name in self.continuous}
        return Item(checked, tuple(notes))

    def check_columns(self, columns: Sequence[str], holder: str) -> list[str]:
        """Check which columns came, of a row or of a whole table, and say in a note which of them the learner does not use.

        Raises:
            BadInput: one that the learner needs is missing.
        """
        missing = [name for name in self._required_columns if name not in columns]
        if missing:
            raise BadInput(
                f"The {holder} lacks {_describe_columns(missing)}. "
                f"The learner needs {_describe_columns(self._required_columns)}.",
                field=missing[0],
            )
        unused = [name for name in columns if name not in self._required_columns]
        return [f"ignored {_describe_columns(unused)}, which the learner does not use"] if unused else []

    def _check_category(self, name: str, value: Any, notes: list[str]) -> Any:
        if isinstance(value, dict | list):
            raise BadInput(f"The column {name} takes one category, and {type(value).__name__} came.", field=name)
        if value is None:
            notes.append(f"{name}: missing; the learner sees it as unknown")
            return None
        if not self._categories[name]:
            return value
        category = self._categories[name].find(value)
        if category is None:
            # What fastai does with it, without pandas' complaint about a category it does not know.
            notes.append(f"{name}: {value!r} was not in training; the learner sees it as unknown")
        return category

    def _check_number(self, name: str, value: Any, notes: list[str]) -> float:
        if value is None:
            if name not in self._fill_values:
                raise BadInput(
                    f"The column {name} is missing (null or NaN), and it never was in training, so the learner can't "
                    "fill it. Send a number.",
                    field=name,
                )
            notes.append(f"{name}: missing; filled as in training")
            return math.nan
        if isinstance(value, bool):
            # As pandas does with a column of true and false among the numbers.
            notes.append(f"{name}: {str(value).lower()} is taken as {int(value)}")
        if not isinstance(value, int | float):
            raise BadInput(f"The column {name} takes a number, and {value!r} came.", field=name)
        if abs(value) > _LARGEST:
            raise BadInput(f"The number {value:g} in column {name} is larger than the learner can hold.", field=name)
        return float(value)

    def collate(self, items: Sequence[Item]) -> Collated:
        rows = [item.content for item in items]
        return Collated(self._collate_by_fastai(rows) if self._table_steps is None else self._table_steps(rows))

    def _collate_by_fastai(self, rows: list[dict[str, Any]]) -> tuple[torch.Tensor, ...]:
        from fastai.torch_core import to_device

        frame = pd.DataFrame(
            {name: pd.Series([row[name] for row in rows], dtype=object) for name in self.categorical}
            | {name: np.array([row[name] for row in rows], np.float64) for name in self.continuous}
        )
        dl = self._dls.test_dl(frame, bs=len(rows), num_workers=0)
        dl.before_iter()
        batch = dl.after_batch(to_device(dl.create_batch(range(len(rows))), dl.device))
        return tuple(as_plain_tensor(argument) for argument in tuple(batch)[: self._dls.n_inp])

    def _matches_fastai(self, steps: TableSteps) -> bool:
        """Whether the direct steps give the same tensors as the learner's own procs, on several rows."""
        rows = [self.decode(raw).content for raw in self.examples()]
        for batch in (rows, rows[:1], rows[-1:]):
            direct, by_fastai = steps(batch), self._collate_by_fastai(batch)
            if len(direct) != len(by_fastai):
                return False
            for actual, expected in zip(direct, by_fastai, strict=True):
                if actual.dtype != expected.dtype or not torch.allclose(actual, expected, rtol=1e-6, atol=1e-6):
                    return False
        return True

    def fingerprint(self, item: Item) -> npt.NDArray[np.float32]:
        values = [item.content[name] for name in self.continuous]
        return np.nan_to_num(np.array(values, np.float32))

    def examples(self) -> list[RawInput]:
        normalize = getattr(self._dls.train_ds.procs, "normalize", None)
        means, stds = (getattr(normalize, moment, {}) for moment in ("means", "stds"))
        rows = []
        for number in range(_EXAMPLES):
            row: dict[str, Any] = {}
            for name in self.categorical:
                categories = self._categories[name].examples()
                row[name] = categories[number % len(categories)] if categories else ""
            for name in self.continuous:
                row[name] = round(float(means.get(name, 0.0)) + (number % 4) * float(stds.get(name, 1.0)), 3)
            rows.append(row)
        # The last row lacks every value that may be missing.
        for name in self._fill_values:
            rows[-1][name] = None
        for name in self.categorical:
            rows[-1][name] = None
        return [raw_row(row) for row in rows]

    def known_categories(self) -> dict[str, list[Any]]:
        """The categories of each column as they are sent, of those whose categories were learnt."""
        return {name: categories.examples() for name, categories in self._categories.items() if categories}

    def columns(self, raw: RawInput) -> dict[str, Any]:
        row = orjson.loads(raw.content)
        return {name: row[name] for name in self._required_columns if name in row}


def raw_row(row: dict[str, Any]) -> RawInput:
    """A row as the gateway receives it; NaN becomes null, as JSON has none."""
    return RawInput("application/json", orjson.dumps(row, default=plain_value, option=orjson.OPT_SERIALIZE_NUMPY))


def _describe_columns(names: Sequence[str]) -> str:
    quoted = [f"{name!r}" for name in names[:12]]
    rest = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"the column{'s' if len(names) > 1 else ''} {', '.join(quoted)}{rest}"
