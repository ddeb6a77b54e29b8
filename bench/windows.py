"""Windows with and without a shift, given by their places in pools of rows, so that every contestant sees the same."""

import numpy as np

from bench.sets import DomainSet, Rows

Window = list[tuple[str, list[int]]]

SHIFTS = ("noise", "blur", "contrast", "translation", "class half gone", "1 % unknown", "5 % unknown", "20 % unknown")
NOTHING = "nothing"
LEVELS = {"noise": "noise/0", "blur": "blur/1", "contrast": "contrast/1", "translation": "translation/2"}
GONE = 3


def pools(one: DomainSet, unknown: str) -> dict[str, Rows]:
    """What windows are drawn from."""
    shifted = {f"shifted {name}": one.shifted[level] for name, level in LEVELS.items()}
    return {"fresh": one.fresh, "unknown": one.ood[unknown], **shifted}


def draw(one: DomainSet, pool: dict[str, Rows], shift: str, n: int, rng: np.random.Generator) -> Window:
    """A window of n rows with this shift."""
    if shift in LEVELS:
        return [(f"shifted {shift}", _some(len(pool[f"shifted {shift}"]), n, rng))]
    if shift == "class half gone":
        assert one.fresh.labels is not None
        kept = np.flatnonzero((one.fresh.labels != GONE) | (rng.uniform(size=len(one.fresh)) < 0.5))
        return [("fresh", rng.choice(kept, n, replace=False).tolist())]
    share = 0.0 if shift == NOTHING else float(shift.split()[0]) / 100
    strange = int(rng.binomial(n, share))
    window: Window = [("fresh", _some(len(one.fresh), n - strange, rng))]
    return [*window, ("unknown", _some(len(pool["unknown"]), strange, rng))] if strange else window


def rows_of(pool: dict[str, Rows], window: Window) -> Rows:
    """The window's rows."""
    parts = [pool[name].take(np.array(places)) for name, places in window]
    return Rows(np.concatenate([part.embeddings for part in parts]), np.concatenate([part.logits for part in parts]))


def _some(total: int, n: int, rng: np.random.Generator) -> list[int]:
    return rng.choice(total, n, replace=False).tolist()
