"""Windows with and without a shift, given by indices of rows in pools, so that every contestant gets the same rows."""

import numpy as np

from bench.sets import DomainSet, Rows

Window = list[tuple[str, list[int]]]

SHIFTS = ("noise", "blur", "contrast", "translation", "class half gone", "1 % unknown", "5 % unknown", "20 % unknown")
NOTHING = "nothing"
LEVELS = {"noise": "noise/0", "blur": "blur/1", "contrast": "contrast/1", "translation": "translation/2"}
HALVED_CLASS = 3


def pools(domain: DomainSet, unknown: str) -> dict[str, Rows]:
    """The pools of rows that windows are drawn from, by name."""
    shifted = {f"shifted {name}": domain.shifted[level] for name, level in LEVELS.items()}
    return {"fresh": domain.fresh, "unknown": domain.ood[unknown], **shifted}


def draw(domain: DomainSet, pool: dict[str, Rows], shift: str, n: int, rng: np.random.Generator) -> Window:
    """Draw a window of n rows with this shift."""
    if shift in LEVELS:
        return [(f"shifted {shift}", _sample(len(pool[f"shifted {shift}"]), n, rng))]
    if shift == "class half gone":
        assert domain.fresh.labels is not None
        row_indices = np.flatnonzero(
            (domain.fresh.labels != HALVED_CLASS) | (rng.uniform(size=len(domain.fresh)) < 0.5)
        )
        return [("fresh", rng.choice(row_indices, n, replace=False).tolist())]
    share = 0.0 if shift == NOTHING else float(shift.split()[0]) / 100
    unknown_rows = int(rng.binomial(n, share))
    window: Window = [("fresh", _sample(len(domain.fresh), n - unknown_rows, rng))]
    return [*window, ("unknown", _sample(len(pool["unknown"]), unknown_rows, rng))] if unknown_rows else window


def rows_of(pool: dict[str, Rows], window: Window) -> Rows:
    """The window's rows."""
    parts = [pool[name].take(np.array(row_indices)) for name, row_indices in window]
    return Rows(np.concatenate([part.embeddings for part in parts]), np.concatenate([part.logits for part in parts]))


def _sample(total: int, n: int, rng: np.random.Generator) -> list[int]:
    return rng.choice(total, n, replace=False).tolist()
