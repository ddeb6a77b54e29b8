"""fastai's own procs, done directly: categories to numbers, gaps filled, numbers normalised.

fastai runs them over a pandas table made for each batch, which costs ten milliseconds. Where a learner has only the
procs known here, the same arithmetic is run over plain lists; the adapter checks that both agree before it uses this.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class TableSteps:
    """Rows as dictionaries to the model's arguments.

    `codes` give each categorical column's numbers by category (0 is fastai's for what is missing or not known);
    `filled` the values for gaps; `means` and `stds` are of the continuous columns, None where they are left as they are.
    `missing_columns` are the columns that fastai adds to say where a number was missing, each with that number's column.
    """

    codes: dict[str, dict[Any, int]]
    continuous: list[str]
    filled: dict[str, float]
    missing_columns: dict[str, str]
    means: np.ndarray | None
    stds: np.ndarray | None
    with_continuous: bool

    def __call__(self, rows: list[dict[str, Any]]) -> tuple[torch.Tensor, ...]:
        """Categories `(n, k)` int64 and numbers `(n, m)` float32."""
        columns = []
        for name, codes in self.codes.items():
            source_column = self.missing_columns.get(name)
            if source_column is None:
                columns.append([codes.get(row[name], 0) for row in rows])
            else:
                columns.append([codes.get(row[source_column] != row[source_column], 0) for row in rows])
        categories = np.array(columns, np.int64).T.reshape(len(rows), len(columns))
        if not self.with_continuous:
            return (torch.from_numpy(np.ascontiguousarray(categories)),)
        numbers = np.array([[row[name] for name in self.continuous] for row in rows], np.float64)
        numbers = numbers.reshape(len(rows), len(self.continuous))
        for position, name in enumerate(self.continuous):
            if name in self.filled:
                gaps = np.isnan(numbers[:, position])
                numbers[gaps, position] = self.filled[name]
        if self.means is not None and self.stds is not None:
            numbers = (numbers - self.means) / self.stds
        return torch.from_numpy(np.ascontiguousarray(categories)), torch.from_numpy(numbers.astype(np.float32))


def table_steps_of(dls: Any, continuous: list[str]) -> TableSteps | None:
    """A learner's procs as direct steps, or None where one of them is not known here."""
    from fastai.data.transforms import Normalize
    from fastai.tabular.core import Categorify, FillMissing, TabDataLoader

    procs = {type(proc): proc for proc in dls.train_ds.procs.fs}
    # The last is of the target, which a request does not bring.
    supported = {Categorify, FillMissing, Normalize}
    unsupported = [
        kind for kind in procs if kind not in supported and kind.__name__ not in ("Categorize", "RegressionSetup")
    ]
    batch_steps = [step for step in dls.valid.after_batch.fs if type(step).__name__ != "ReadTabBatch"]
    if unsupported or batch_steps or type(dls.valid).create_batch is not TabDataLoader.create_batch:
        return None
    classes = procs[Categorify].classes if Categorify in procs else {}
    if any(name not in classes for name in dls.cat_names):
        return None
    fill, normalize = procs.get(FillMissing), procs.get(Normalize)
    filled = {} if fill is None else {name: float(value) for name, value in fill.na_dict.items()}
    means = stds = None
    if normalize is not None:
        means, stds = (
            np.array([float(moments[name]) for name in continuous]) for moments in (normalize.means, normalize.stds)
        )
    return TableSteps(
        codes={
            name: {_as_python(value): code for code, value in enumerate(classes[name]) if code > 0}
            for name in dls.cat_names
        },
        continuous=continuous,
        filled=filled,
        missing_columns={f"{name}_na": name for name in filled if f"{name}_na" in dls.cat_names},
        means=means,
        stds=stds,
        with_continuous=bool(dls.train_ds.with_cont),
    )


def _as_python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
