"""Which columns of a table moved, in their own words and units.

Asked only where the window test has found a shift. Each column is asked up to three questions: are its values others
(Kolmogorov–Smirnov for numbers, chi-squared for categories), are more or fewer of them missing, and are there values
that training never had (Fisher's exact test, 1922). All questions of a window share one level (Holm 1979): where no
column moved, one is named with at most that probability.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy import stats

from monitor.shift.readable_numbers import quartiles_in_words, share_in_words
from monitor.shift.table_columns import Record, TableColumn, category_name, shared_columns

# With fewer values on a side the asymptotic tests are no longer near their level.
FEWEST_VALUES = 20
# Rarer categories are added up before the chi-squared test (Cochran 1954).
FEWEST_EXPECTED = 5.0


class Question(StrEnum):
    """What was asked of a column."""

    NUMBERS = "numbers"
    CATEGORIES = "categories"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ColumnChange:
    """A column that moved.

    Attributes:
        column: its name.
        question: what moved of it.
        before: in training, in words, such as "median 41".
        now: in the window, in the same words.
        effect: the size of the change, 0 to 1: the largest gap between two distributions of numbers, or the share of
            rows that moved.
        p_value: adjusted for all questions of the window.
        sentence: all of it in plain words, without a full stop.
    """

    column: str
    question: Question
    before: str
    now: str
    effect: float
    p_value: float
    sentence: str


def find_column_changes(
    training: Sequence[Record],
    window: Sequence[Record],
    categories: Mapping[str, Sequence[Any]],
    alpha: float,
) -> tuple[ColumnChange, ...]:
    """The columns that moved, the largest change first.

    Args:
        training: held-out rows of training.
        window: rows of production.
        categories: the values that the learner knows of its columns of categories, by column; where they are not known,
            nothing is called unknown.
        alpha: the largest adjusted p-value at which a column is named.
    """
    asked = []
    for column in shared_columns(training, window, categories):
        known = {category_name(value) for value in categories.get(column.name, ())}
        asked += [
            _numbers(column) if column.is_numeric else _categories(column, known),
            _missing(column),
            None if column.is_numeric else _unknown(column, known),
        ]
    changes = [change for change in asked if change is not None]
    adjusted = _holm([change.p_value for change in changes])
    found = [
        ColumnChange(**(vars(change) | {"p_value": p_value}))
        for change, p_value in zip(changes, adjusted, strict=True)
        if p_value <= alpha
    ]
    return tuple(sorted(found, key=lambda change: -change.effect))


def sentence_of(changes: Sequence[ColumnChange], most: int = 3) -> str:
    """The largest changes as one sentence; empty where there are none."""
    if not changes:
        return ""
    shown = "; ".join(change.sentence for change in changes[:most])
    columns = {change.column for change in changes} - {change.column for change in changes[:most]}
    rest = f"; {len(columns)} more column{'s' if len(columns) > 1 else ''} moved" if columns else ""
    return f"What moved most in the inputs: {shown}{rest}."


def _numbers(column: TableColumn) -> ColumnChange | None:
    before, now = (
        np.array([value for value in side if value is not None], np.float64)
        for side in (column.training, column.window)
    )
    if min(before.size, now.size) < FEWEST_VALUES:
        return None
    test = stats.ks_2samp(before, now, method="asymp")
    quartiles = [np.quantile(side, [0.25, 0.5, 0.75]) for side in (before, now)]
    kind, words = quartiles_in_words(quartiles[0], quartiles[1])
    sentence = f"{column.name}: {kind} {words[0]} → {words[1]}"
    words = [f"{kind} {value}" for value in words]
    return ColumnChange(
        column.name, Question.NUMBERS, words[0], words[1], float(test.statistic), float(test.pvalue), sentence
    )


def _categories(column: TableColumn, known: set[str]) -> ColumnChange | None:
    sides = [_counted(side, known) for side in (column.training, column.window)]
    before, now = (sum(counts.values()) for counts in sides)
    if min(before, now) < FEWEST_VALUES:
        return None
    names = sorted(sides[0] | sides[1], key=lambda name: -(sides[0][name] / before + sides[1][name] / now))
    table = _pooled(np.array([[counts[name] for name in names] for counts in sides], np.float64))
    if table.shape[1] < 2:
        return None
    p_value = float(stats.chi2_contingency(table, correction=False).pvalue)
    shares = {name: (sides[0][name] / before, sides[1][name] / now) for name in names}
    moved = sum(abs(shares[name][1] - shares[name][0]) for name in names) / 2
    largest = max(names, key=lambda name: abs(shares[name][1] - shares[name][0]))
    words = [f"{largest} {share:.0%}" for share in shares[largest]]
    sentence = f"{column.name}: {words[0]} → {shares[largest][1]:.0%}"
    return ColumnChange(column.name, Question.CATEGORIES, words[0], words[1], float(moved), p_value, sentence)


def _missing(column: TableColumn) -> ColumnChange | None:
    missing = [sum(value is None for value in side) for side in (column.training, column.window)]
    if not any(missing):
        return None
    before, now = missing[0] / len(column.training), missing[1] / len(column.window)
    return ColumnChange(
        column.name,
        Question.MISSING,
        f"missing in {share_in_words(before)}",
        f"missing in {share_in_words(now)}",
        abs(now - before),
        _two_shares(missing, column),
        f"{column.name}: missing in {share_in_words(now)} of rows, {share_in_words(before)} in training",
    )


def _unknown(column: TableColumn, known: set[str]) -> ColumnChange | None:
    if not known:
        return None
    sides = [
        Counter(name for value in side if value is not None and (name := category_name(value)) not in known)
        for side in (column.training, column.window)
    ]
    counts = [sum(side.values()) for side in sides]
    if not counts[1]:
        return None
    before, now = counts[0] / len(column.training), counts[1] / len(column.window)
    (name, _), others = sides[1].most_common(1)[0], len(sides[1]) - 1
    more = "1 more value" if others == 1 else f"{others} more values"
    who = f"{name} and {more} were" if others else f"{name} was"
    return ColumnChange(
        column.name,
        Question.UNKNOWN,
        f"unknown in {share_in_words(before)}",
        f"unknown in {share_in_words(now)}",
        abs(now - before),
        _two_shares(counts, column),
        f"{column.name}: {who} never in training, {share_in_words(now)} of rows",
    )


def _two_shares(counts: Sequence[int], column: TableColumn) -> float:
    sizes = (len(column.training), len(column.window))
    table = [[count, size - count] for count, size in zip(counts, sizes, strict=True)]
    return float(stats.fisher_exact(np.array(table)).pvalue)


def _counted(side: Sequence[Any], known: set[str]) -> Counter[str]:
    """How often each category comes; values that the learner does not know are another question."""
    names = (category_name(value) for value in side if value is not None)
    return Counter(name for name in names if not known or name in known)


def _pooled(table: np.ndarray) -> np.ndarray:
    """The table `(2, k)`, common categories first, with those that are expected too rarely added up to one."""
    expected = table.sum(axis=0) * min(table.sum(axis=1)) / table.sum()
    common = expected >= FEWEST_EXPECTED
    kept, rare = table[:, common], table[:, ~common].sum(axis=1, keepdims=True)
    if expected[~common].sum() >= FEWEST_EXPECTED or not kept.size:
        return np.concatenate([kept, rare], axis=1)
    # Too few together as well: they count with the least common of the others.
    kept[:, -1:] += rare
    return kept


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
