"""The data of a set, and the file that caches it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

WORK = Path(__file__).parents[1] / "work"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Embeddings `(n, d)`, logits `(n, c)` and, where they are known, labels `(n,)`."""

    embeddings: Floats
    logits: Floats
    labels: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.embeddings.shape[0]

    def take(self, row_indices: npt.NDArray[np.integer] | slice) -> "Rows":
        """The rows with these indices."""
        labels = None if self.labels is None else self.labels[row_indices]
        return Rows(self.embeddings[row_indices], self.logits[row_indices], labels)


@dataclass(frozen=True)
class DomainSet:
    """Rows of one learner: training, held out, fresh in-domain ones, and out-of-domain ones.

    `ood` are inputs of other kinds; `shifted` in-domain inputs that changed, with their labels, by `name/level`;
    `periods` fresh rows in order of time, with their labels.
    """

    training: Rows
    held_out: Rows
    fresh: Rows
    ood: dict[str, Rows]
    head: tuple[Floats, Floats]
    shifted: dict[str, Rows] = field(default_factory=dict)
    periods: dict[str, Rows] = field(default_factory=dict)


def cached(name: str, make: Callable[[], DomainSet]) -> DomainSet:
    """A set from `bench/work`, made the first time."""
    path = WORK / f"{name}.npz"
    if not path.exists():
        logger.warning("making the set %s: minutes, once", name)
        WORK.mkdir(exist_ok=True)
        with path.with_suffix(".part").open("wb") as partial:
            np.savez(partial, **_to_arrays(make()))  # type: ignore[arg-type]
        path.with_suffix(".part").replace(path)
    with np.load(path) as arrays:
        return _from_arrays({key: arrays[key] for key in arrays.files})


def _to_arrays(domain: DomainSet) -> dict[str, npt.NDArray[np.generic]]:
    groups = {"training": domain.training, "held_out": domain.held_out, "fresh": domain.fresh}
    for kind in ("ood", "shifted", "periods"):
        groups |= {f"{kind}|{name}": rows for name, rows in getattr(domain, kind).items()}
    arrays: dict[str, npt.NDArray[np.generic]] = {"head|W": domain.head[0], "head|b": domain.head[1]}
    for name, rows in groups.items():
        arrays[f"{name}|embeddings"], arrays[f"{name}|logits"] = rows.embeddings, rows.logits
        if rows.labels is not None:
            arrays[f"{name}|labels"] = rows.labels
    return arrays


def _from_arrays(arrays: dict[str, npt.NDArray[np.generic]]) -> DomainSet:
    def rows(prefix: str) -> Rows:
        fields = [arrays.get(f"{prefix}|{part}") for part in ("embeddings", "logits", "labels")]
        return Rows(*fields)  # type: ignore[arg-type]

    def group(kind: str) -> dict[str, Rows]:
        names = dict.fromkeys(key.split("|")[1] for key in arrays if key.startswith(f"{kind}|"))
        return {name: rows(f"{kind}|{name}") for name in names}

    return DomainSet(
        training=rows("training"),
        held_out=rows("held_out"),
        fresh=rows("fresh"),
        ood=group("ood"),
        head=(arrays["head|W"].astype(np.float32), arrays["head|b"].astype(np.float32)),
        shifted=group("shifted"),
        periods=group("periods"),
    )
