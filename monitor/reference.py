"""The reference: what a learner's training and held-out rows look like, and the scorers fitted on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.conformal import FlaggedLaw, conformal_p_values, largest_flagged_rank
from monitor.fusion import TailLog
from monitor.scorers import Features, Scorer
from monitor.scorers.knn import NearestNeighbours
from store.errors import BadInput

Floats = npt.NDArray[np.float64]

_LARGEST_RECORDED = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Scores:
    """Out-of-domain scores of n rows; higher = further out.

    `p_value` is the share of held-out rows that are at least as strange (conformal, valid for any calibration size);
    `flagged` is `p_value ≤ alpha`, or a row that is not finite. `parts` are the scorers' own u = −log p.
    """

    score: Floats
    p_value: Floats
    flagged: npt.NDArray[np.bool_]
    parts: dict[str, Floats]


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows that windows are compared with; `m` rows.

    `embeddings` `(m, d)`; `class_indices` the predicted classes `(m,)`, `confidences` `(m,)` and `logits` `(m, c)`
    where the learner predicts one class; `labels` `(m,)` where known. `scores` are the fused OOD scores.
    """

    embeddings: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32] | None
    class_indices: npt.NDArray[np.int64] | None
    confidences: Floats | None
    labels: npt.NDArray[np.int64] | None
    scores: Floats


@dataclass(frozen=True)
class Origin:
    """Where a reference comes from.

    `learner_sha256` is the hash of the exported file, None when it was made from a learner in memory that had not been
    exported; `weights_sha256` is the hash of its weights.
    """

    learner_sha256: str | None
    weights_sha256: str
    name: str
    application: str
    task: str
    classes: list[str]
    created_at: str
    tidegate_version: str
    calibration_source: str
    accuracy: float | None


@dataclass(frozen=True)
class Examples:
    """Training inputs to show beside strange ones: embeddings `(k, d)`, captions, small pictures (or none)."""

    embeddings: npt.NDArray[np.float32]
    captions: list[str]
    pictures: list[bytes]

    def nearest(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """The place of the nearest example of each row, shape `(n,)`."""
        index = NearestNeighbours.of(self.embeddings.astype(np.float64), np.arange(self.embeddings.shape[0]))
        finite = np.nan_to_num(embeddings.astype(np.float64), posinf=_LARGEST_RECORDED, neginf=-_LARGEST_RECORDED)
        places, _ = index.nearest(Features(finite, None), 1)
        return places[:, 0]


@dataclass(frozen=True)
class Probe:
    """An input kept with what each step made of it, so that a gateway can prove that it does the same."""

    media_type: str
    content: bytes
    steps: dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Reference:
    """The training-time profile of a learner. Made by `fit_reference`; kept in one file of arrays and JSON."""

    scorers: Mapping[str, Scorer]
    tails: Mapping[str, TailLog]
    calibration_scores: Floats
    held_out: HeldOut
    alpha: float
    training_rows: int
    warnings: tuple[str, ...] = ()
    origin: Origin | None = None
    examples: Examples | None = None
    probes: tuple[Probe, ...] = ()
    columns: list[dict[str, Any]] = field(default_factory=list)

    @property
    def dimension(self) -> int:
        """d, the length of an embedding."""
        return int(self.held_out.embeddings.shape[1])

    @property
    def uses_logits(self) -> bool:
        return self.held_out.logits is not None

    @property
    def flagged_law(self) -> FlaggedLaw:
        """The law of the number of flagged rows if all is well."""
        return FlaggedLaw(self.calibration_scores.shape[0], self.alpha)

    @cached_property
    def threshold(self) -> float:
        """The OOD score from which an input is flagged; infinite when there are too few calibration rows."""
        m = self.calibration_scores.shape[0]
        rank = largest_flagged_rank(self.alpha, m)
        # p ≤ alpha needs fewer than `rank` calibration scores at or above: strictly above the rank-th largest.
        return float("inf") if rank == 0 else float(np.nextafter(self.calibration_scores[m - rank], np.inf))

    def score(self, embeddings: npt.ArrayLike, logits: npt.ArrayLike | None = None) -> Scores:
        """Score n rows.

        Args:
            embeddings: shape `(n, d)`.
            logits: shape `(n, c)`; needed if the reference was fitted with logits, ignored if not.

        Raises:
            BadInput: another number of dimensions or classes than the reference's, or a different number of rows.
        """
        rows = np.asarray(embeddings, np.float64)
        outputs = None if logits is None or not self.uses_logits else np.asarray(logits, np.float64)
        self._check_shapes(rows, outputs)
        # Larger values are finite here and infinite in the record, which keeps float16.
        finite = (np.abs(rows) <= _LARGEST_RECORDED).all(axis=1)
        if outputs is not None:
            finite &= np.isfinite(outputs).all(axis=1)
        features = Features(rows[finite], None if outputs is None else outputs[finite])
        parts: dict[str, Floats] = {}
        for name, scorer in self.scorers.items():
            parts[name] = np.full(rows.shape[0], np.inf)
            if finite.any():
                parts[name][finite] = self.tails[name](scorer.score(features))
        score = np.mean(list(parts.values()), axis=0)
        p_value = conformal_p_values(self.calibration_scores, score)
        return Scores(score, p_value, (p_value <= self.alpha + 1e-12) | ~finite, parts)

    def _check_shapes(self, embeddings: Floats, logits: Floats | None) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimension:
            raise BadInput(
                f"The reference knows embeddings of shape (n, {self.dimension}), and {embeddings.shape} came. "
                "They are of another learner or another layer: make the reference with this learner.",
                field="embeddings",
            )
        if not self.uses_logits:
            return
        assert self.held_out.logits is not None
        classes = self.held_out.logits.shape[1]
        if logits is None or logits.shape != (embeddings.shape[0], classes):
            came = "none" if logits is None else str(logits.shape)
            raise BadInput(
                f"The reference was fitted with logits: ({embeddings.shape[0]}, {classes}) is needed, {came} came.",
                field="logits",
            )

    def save(self, path: str | Path) -> Path:
        """Write the reference to one file of arrays and JSON (safetensors), with its checksum."""
        from monitor.reference_file import write

        return write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Reference":
        """Read a reference.

        Raises:
            BadReference: the file is missing, damaged, or not a reference.
        """
        from monitor.reference_file import read

        return read(Path(path))

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in self.summary())
        return f"<table>{rows}</table>"

    def summary(self) -> list[tuple[str, str]]:
        """What a person wants to know of it, as pairs of name and value."""
        m = self.calibration_scores.shape[0]
        lines = [("training rows", f"{self.training_rows:,}"), ("held-out rows", f"{self.held_out.scores.shape[0]:,}")]
        if self.origin is not None:
            lines.insert(0, ("learner", self.origin.name))
            if self.origin.classes:
                lines.append(("classes", f"{len(self.origin.classes):,}"))
            if self.origin.accuracy is not None:
                lines.append(("accuracy on the held-out rows", f"{self.origin.accuracy:.1%}"))
            lines.append(("calibrated on", self.origin.calibration_source))
        lines.append(("embedding", f"{self.dimension} numbers, scored by {', '.join(self.scorers)}"))
        if np.isfinite(self.threshold):
            one_in = round(1 / self.flagged_law.expected_share)
            meaning = f"about 1 in {one_in:,} in-domain inputs will be flagged"
            lines.append(("flagged from OOD score", f"{self.threshold:.2f}: {meaning}"))
        else:
            needed = int(np.ceil(1 / self.alpha)) - 1
            lines.append(
                (
                    "flagged from OOD score",
                    f"never: alpha {self.alpha:g} needs {needed:,} calibration rows, there are {m:,}",
                )
            )
        return lines
