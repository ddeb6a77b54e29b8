"""Learners over tables and ratings: every target, and columns of every kind."""

from typing import Any

import numpy as np
import pandas as pd
from fastai.collab import CollabDataLoaders, EmbeddingDotBias, collab_learner
from fastai.tabular import all as fastai

from serving.learner.adapters.tabular import raw_row
from serving.profiling.labelled_data import plain_rows
from tests.learners.case import Answer, Exported, Refused, Served, train

N = 120
TARGETS = ["kind", "number", "sold", "price", "weight", "wet", "new"]


def table() -> pd.DataFrame:
    """Rows with categories, numbers, gaps, and targets of every kind."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "colour": rng.choice(["red", "green", "blue"], N),
            "rooms": rng.integers(1, 5, N),
            "garden": rng.choice([True, False], N),
            "area": rng.normal(70, 15, N),
            "height": rng.normal(2.7, 0.1, N),
            "day": pd.date_range("2024-01-01", periods=N, freq="9D"),
        }
    )
    rows.loc[rng.random(N) < 0.1, "area"] = np.nan
    rows["kind"] = np.where(rows["height"] > 2.7, "old", "new")
    rows["number"] = rng.integers(0, 3, N)
    rows["sold"] = rng.choice([True, False], N)
    rows["price"] = rows["height"] * 300
    rows["weight"] = rows["height"] * 3
    rows["wet"], rows["new"] = rng.choice([True, False], (2, N))
    return rows


def predict(learner: Any, row: pd.Series) -> Answer:
    """What `Learner.predict` answers, with its table decoded."""
    names = list(learner.dls.y_names)
    with learner.no_bar():
        rows, _, numbers = learner.predict(row)
    values = rows.decode().items[names].iloc[0].tolist()
    if len(names) > 1 and all(isinstance(value, bool) for value in values):
        return [name for name, value in zip(names, values, strict=True) if value], numbers.tolist()
    return (values[0] if len(names) == 1 else values), numbers.tolist()


def exported(
    target: str | list,
    block: Any,
    *,
    cat_names: tuple = ("colour", "rooms", "garden"),
    cont_names: tuple = ("area", "height"),
    procs: tuple = (fastai.Categorify, fastai.FillMissing, fastai.Normalize),
    rows: pd.DataFrame | None = None,
    **options: Any,
) -> Exported:
    rows = table() if rows is None else rows
    data = fastai.TabularDataLoaders.from_df(
        rows,
        procs=list(procs),
        cat_names=list(cat_names),
        cont_names=list(cont_names),
        y_names=target,
        y_block=block,
        valid_idx=list(range(0, N, 5)),
        bs=32,
    )
    learner = train(fastai.tabular_learner(data, layers=[16, 8], **options))
    inputs = rows[[*cat_names, *cont_names]]
    if fastai.FillMissing not in procs:
        inputs = inputs[~inputs.isna().any(axis=1)]
    raws = [raw_row(row) for row in plain_rows(inputs)]
    return Exported(learner, raws, [row for _, row in inputs.iterrows()], predict)


def one_class(**options: Any) -> Exported:
    """Rows of one class of two."""
    return exported("kind", fastai.CategoryBlock(), **options)


def dates() -> Exported:
    """A table that `add_datepart` has widened: booleans, and numbers of days."""
    rows = fastai.add_datepart(table(), "day")
    continuous, categorical = fastai.cont_cat_split(rows.drop(columns=TARGETS))
    return one_class(cat_names=tuple(categorical), cont_names=tuple(continuous), rows=rows)


def predict_rating(learner: Any, row: pd.Series) -> Answer:
    with learner.no_bar():
        # Of a single row fastai makes no batch.
        numbers = learner.get_preds(dl=learner.dls.test_dl(pd.DataFrame([row, row])))[0][0]
    return float(numbers.reshape(-1)[0]), numbers.reshape(-1).tolist()


def ratings(**options: Any) -> Exported:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "user": rng.integers(1, 20, N),
            "title": [f"film {number}" for number in rng.integers(1, 30, N)],
            "rating": rng.integers(1, 6, N).astype(float),
        }
    )
    data = CollabDataLoaders.from_df(rows, user_name="user", item_name="title", rating_name="rating", seed=0, bs=32)
    learner = train(collab_learner(data, n_factors=8, y_range=(0, 5.5), **options))
    inputs = rows.drop(columns="rating")
    raws = [raw_row(row) for row in plain_rows(inputs)]
    return Exported(learner, raws, [row for _, row in inputs.iterrows()], predict_rating)


class Shifted(EmbeddingDotBias):  # type: ignore[misc]
    """fastai's own model with a forward pass of the user's."""

    def forward(self, pairs):
        return super().forward(pairs) + 1


def own_ratings() -> Exported:
    made = ratings()
    learner = made.learner
    model = Shifted.from_classes(8, learner.dls.classes, y_range=(0, 5.5))
    own = fastai.Learner(learner.dls, model, loss_func=fastai.MSELossFlat())
    return Exported(train(own), made.raws, made.items, made.answer)


SERVED = (
    Served("row → one class", "CategoryBlock; `tabular_learner`", lambda: one_class()),
    Served("row → one class, a number", "CategoryBlock", lambda: exported("number", fastai.CategoryBlock())),
    Served("row → one class, true or false", "CategoryBlock", lambda: exported("sold", fastai.CategoryBlock())),
    Served(
        "row → several classes",
        "MultiCategoryBlock(encoded=True)",
        lambda: exported(["wet", "new"], fastai.MultiCategoryBlock(encoded=True, vocab=["wet", "new"]), n_out=2),
    ),
    Served(
        "row → a number", "RegressionBlock", lambda: exported("price", fastai.RegressionBlock(), y_range=(0.0, 1000.0))
    ),
    Served(
        "row → several numbers",
        "RegressionBlock(n_out=2)",
        lambda: exported(["price", "weight"], fastai.RegressionBlock(n_out=2), n_out=2),
    ),
    Served("row of dates and booleans → one class", "`add_datepart`, CategoryBlock", dates),
    Served(
        "row with a day as a category → one class",
        'CategoryBlock; `cat_names=["day"]` of dates',
        lambda: one_class(cat_names=("colour", "day")),
        note="days are sent as ISO 8601",
    ),
    Served(
        "row of categories only → one class",
        "CategoryBlock",
        lambda: one_class(cont_names=(), procs=(fastai.Categorify,)),
    ),
    Served(
        "row of numbers only → one class",
        "CategoryBlock",
        lambda: one_class(cat_names=(), cont_names=("height",), procs=(fastai.Normalize,)),
    ),
    Served(
        "row without procs for numbers → one class",
        "CategoryBlock; `procs=[Categorify]`",
        lambda: one_class(cont_names=("height",), procs=(fastai.Categorify,)),
    ),
    Served(
        "user and item → rating, by factors",
        "`collab_learner`",
        ratings,
        embedding="u∘v",
        note="the embedding is the product of both factors",
    ),
    Served(
        "user and item → rating, a model like fastai's",
        "`class MyDot(EmbeddingDotBias)`",
        lambda: own_ratings(),
        embedding="u∘v",
    ),
    Served("user and item → rating, by a network", "`collab_learner(use_nn=True)`", lambda: ratings(use_nn=True)),
)


def _without_target() -> Any:
    data = fastai.TabularDataLoaders.from_df(
        table()[["colour", "height"]],
        procs=[fastai.Categorify, fastai.Normalize],
        cat_names=["colour"],
        cont_names=["height"],
        valid_idx=list(range(0, N, 5)),
    )
    return fastai.Learner(
        data, fastai.TabularModel([(4, 2)], 1, 2, layers=[8]), loss_func=fastai.CrossEntropyLossFlat()
    )


REFUSED = (
    Refused(
        "rows without a target",
        "`from_df` without `y_names`",
        _without_target,
        "Tidegate does not serve learners without a target",
    ),
)
