"""Pairs of a user and an item: a table of two categories."""

from typing import Any, ClassVar

from serving.learner.adapters.tabular import Tabular


class Collab(Tabular):
    """A collaborative-filtering learner, which predicts a user's rating of an item."""

    application: ClassVar[str] = "collab"

    @classmethod
    def serves(cls, learner: Any) -> bool:
        from fastai.collab import TabularCollab

        return isinstance(learner.dls.train_ds, TabularCollab)
