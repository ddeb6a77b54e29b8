"""Draws the pictures of `docs/explanation` from the sets of the benchmarks: `python -m bench.pictures`."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

from bench.sets import SETS
from bench.tidegate_detector import reference_of
from tidegate import SequentialAlarm

mpl.use("svg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parents[1] / "docs" / "images"
GREY, BLUE, RED = "#9aa5b1", "#1f6f8b", "#c8553d"
PROMISE = 10_000


def main() -> None:
    """Draw all pictures."""
    mpl.rcParams.update(
        {"svg.hashsalt": "tidegate", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    )
    domain = SETS["clothing"]()
    reference = reference_of(domain)
    usual = reference.score(domain.fresh.embeddings, domain.fresh.logits)
    strange = reference.score(domain.ood["digits"].embeddings, domain.ood["digits"].logits)
    _scores(usual.score, strange.score, reference.threshold)
    _alarm(reference, usual.score, strange.score)


def _scores(usual: np.ndarray, strange: np.ndarray, threshold: float) -> None:
    figure, axes = plt.subplots(figsize=(7, 2.6))
    bins = np.linspace(0, 8, 81).tolist()
    axes.hist(np.minimum(usual, 7.99), bins, density=True, color=GREY, label="clothing, fresh")
    axes.hist(np.minimum(strange, 7.99), bins, density=True, color=RED, alpha=0.6, label="digits, which it never saw")
    axes.axvline(threshold, color="black", linewidth=1)
    axes.annotate(
        "flagged from here:\np ≤ 0.01",
        (threshold, axes.get_ylim()[1] * 0.7),
        (threshold + 0.2, axes.get_ylim()[1] * 0.7),
    )
    axes.set(xlabel="out-of-domain score", yticks=[])
    axes.legend(frameon=False)
    _save(figure, "scores.svg")


def _alarm(reference, usual: np.ndarray, strange: np.ndarray) -> None:
    figure, axes = plt.subplots(figsize=(7, 2.8))
    for share, colour in ((0.0, GREY), (0.01, BLUE), (0.05, RED)):
        rng = np.random.default_rng(3)
        stream = rng.choice(usual, 3_000)
        is_strange = (rng.uniform(size=3_000) < share) & (np.arange(3_000) >= 500)
        stream[is_strange] = rng.choice(strange, int(is_strange.sum()))
        alarm = SequentialAlarm(reference, arl=PROMISE, rng=rng)
        evidence = []
        for start in range(0, 3_000, 10):
            alarm.update(stream[start : start + 10])
            evidence.append(alarm.evidence)
            if alarm.firing:
                break
        label = "nothing changes" if share == 0 else f"{share:.0%} digits from the 500th on"
        axes.plot(np.arange(1, len(evidence) + 1) * 10, evidence, color=colour, label=label)
    axes.axhline(PROMISE, color="black", linewidth=1)
    axes.annotate("rings", (2_850, PROMISE * 1.4))
    axes.set(yscale="log", xlabel="predictions", ylabel="evidence", ylim=(1, PROMISE * 300))
    axes.legend(frameon=False, loc="upper left")
    _save(figure, "alarm.svg")


def _save(figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(FOLDER / name, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
