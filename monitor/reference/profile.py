"""The reference: what a learner's training and held-out rows look like, and scoring rows by it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from monitor.reference import profile_file
from monitor.reference.conformal import FlaggedLaw, conformal_p_values, largest_flagged_rank
from monitor.reference.float_array import AnyFloats, float_array
from monitor.reference.profile_content import LARGEST_RECORDED, ReferenceContent
from monitor.reference.rows import LARGEST, ClassIndices, Rows
from monitor.reference.scorers import Features
from monitor.reference.scorers.neighbours import NearestNeighbours
from monitor.reference.scores import Scores
from monitor.reference.summary import line_of, summary_of
from monitor.reference.thin_classes import belongs_to_thin_class
from store.errors import BadInput

NEAREST = 5


@dataclass(frozen=True, eq=False)
class Reference(ReferenceContent):
    """The training-time profile of a learner. Made by `fit_reference`; kept in one file of arrays and JSON."""

    def __repr__(self) -> str:
        # One line: the arrays of a reference are megabytes, and a notebook keeps what it prints.
        return f"<Reference {line_of(self, self.threshold)}>"

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
        rows = float_array(embeddings, "embeddings", "embeddings")
        outputs = self._logits_in_use(logits)
        self._check_shapes(rows, outputs)
        finite = (np.abs(rows) <= self._largest).all(axis=1)
        if outputs is not None:
            finite &= np.isfinite(outputs).all(axis=1)
        usable = slice(None) if finite.all() else finite
        features = Features(rows[usable], None if outputs is None else outputs[usable])
        n = rows.shape[0]
        parts = {name: np.full(n, np.inf) for name in self.scorers}
        k = min(NEAREST, self.neighbours.coreset.shape[0])
        nearest, distances = np.full((n, k), -1), np.full((n, k), np.inf, np.float32)
        if features.embeddings.shape[0]:
            coreset_indices, distances[usable] = self.neighbours.nearest(features, k)
            nearest[usable] = self.neighbours.training_indices[coreset_indices]
            for name, scorer in self.scorers.items():
                # The neighbours were just looked up: their distances are this scorer's values.
                looked_up = scorer is self.neighbours
                values = distances[usable][:, 0].astype(np.float64) if looked_up else scorer.score(features)
                parts[name][usable] = self.tails[name](values)
        score = np.mean(list(parts.values()), axis=0)
        p_value = conformal_p_values(self.calibration_scores, score)
        return Scores(score, p_value, (p_value <= self.alpha + 1e-12) | ~finite, parts, nearest, distances)

    def rows(
        self, embeddings: npt.ArrayLike, logits: npt.ArrayLike | None = None, labels: ClassIndices | None = None
    ) -> Rows:
        """Rows scored and ready to be compared.

        Args:
            embeddings: shape `(n, d)`.
            logits: shape `(n, c)`, as for `score`.
            labels: class indices, shape `(n,)`, where known.

        Raises:
            BadInput: as `score`.
        """
        parts = self.score(embeddings, logits).parts
        return self.scored_rows(float_array(embeddings, "embeddings", "embeddings"), logits, labels, parts)

    def scored_rows(
        self,
        embeddings: AnyFloats,
        outputs: npt.ArrayLike | None,
        labels: ClassIndices | None,
        parts: dict[str, npt.NDArray[np.float64]],
    ) -> Rows:
        """Rows that are scored already, ready to be compared.

        Args:
            embeddings: shape `(n, d)`.
            outputs: what the model returned: the logits `(n, c)`, or the numbers `(n, k)` of a learner that predicts such.
            labels: class indices, shape `(n,)`, where known.
            parts: of their scores.

        Raises:
            BadInput: another number of predicted numbers than the reference's.
        """
        return Rows.of(
            embeddings, self._logits_in_use(outputs), labels, parts, self._numbers_in_use(outputs, embeddings)
        )

    def against(self, rows: Rows, name: str) -> Self:
        """The same profile, with windows compared with these rows, which reports call `name`."""
        return replace(
            self,
            held_out=rows,
            compared_with=name,
            feature_map_rows=self.feature_map_rows or self.held_out,
            # Production has rows of every class it has.
            thin_classes=(),
        )

    def left_out(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of these rows are left out of comparisons, `(n,)`: those of thin classes, unless they are flagged."""
        if not self.thin_classes or rows.class_indices is None:
            return np.zeros(len(rows), np.bool_)
        embeddings = np.where(rows.finite[:, None], rows.embeddings, np.float32(0))
        nearest = self.neighbours.classes[self.neighbours.nearest(Features(embeddings, None), 1)[0][:, 0]]
        thin = belongs_to_thin_class(self.thin_classes, rows.class_indices, nearest)
        return thin & rows.finite & (rows.scores < self.threshold)

    @cached_property
    def class_names(self) -> list[str]:
        """The learner's classes, or their numbers where their names are not known; empty where it predicts none."""
        if self.held_out.logits is None:
            return []
        names = self.origin.classes if self.origin else []
        return names or [str(index) for index in range(self.held_out.logits.shape[1])]

    @cached_property
    def neighbours(self) -> NearestNeighbours:
        """The index of training rows."""
        index = self.scorers[NearestNeighbours.name]
        assert isinstance(index, NearestNeighbours)
        return index

    @cached_property
    def _largest(self) -> float:
        # Larger values are finite here and infinite in the record, which keeps float16; unless rows as large are usual.
        fits_float16 = bool((np.abs(self.held_out.embeddings) <= LARGEST_RECORDED).all())
        return LARGEST_RECORDED if fits_float16 else LARGEST

    def _logits_in_use(self, logits: npt.ArrayLike | None) -> AnyFloats | None:
        return None if logits is None or not self.uses_logits else float_array(logits, "logits", "logits")

    def _numbers_in_use(self, outputs: npt.ArrayLike | None, embeddings: AnyFloats) -> AnyFloats | None:
        """The predicted numbers `(n, k)` where the reference keeps such: NaN for rows that came without."""
        if self.held_out.numbers is None:
            return None
        n, k = embeddings.shape[0], self.held_out.numbers.shape[1]
        numbers = np.zeros((n, 0)) if outputs is None else float_array(outputs, "logits", "predicted numbers")
        if numbers.size == 0:
            return np.full((n, k), np.nan)
        if numbers.shape != (n, k):
            raise BadInput(
                f"The reference knows {k} predicted numbers a row, ({n}, {k}) in all, and {numbers.shape} came. They are "
                "of another learner: make the reference with this learner.",
                field="logits",
            )
        return numbers

    def _check_shapes(self, embeddings: AnyFloats, logits: AnyFloats | None) -> None:
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
        return profile_file.write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a reference.

        Raises:
            BadReference: the file is missing, damaged, or not a reference.
        """
        return cls(**vars(profile_file.read(Path(path))))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The reference in a file's content.

        Raises:
            BadReference: it is damaged or not a reference.
        """
        return cls(**vars(profile_file.decode(content)))

    def summary(self) -> list[tuple[str, str]]:
        """What a person wants to know of it, as pairs of name and value."""
        return summary_of(self, self.threshold, self.flagged_law)
