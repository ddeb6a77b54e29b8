"""The strangest inputs of the window, each beside the training example nearest to it."""

import numpy as np

from monitor.passes.monitor_pass import PassResult
from reports.sections.base import Record, Section, Values
from reports.sections.inputs import cards, inputs_at

INPUTS = 12


class Gallery(Section):
    name = "gallery"
    title = "The strangest inputs"
    lead = "The inputs furthest from training, and beside each the training example most like it to the learner."

    def values(self, watched: PassResult, record: Record) -> Values | None:
        recorded = watched.recorded
        if watched.reference is None or not recorded.ids:
            return None
        # A score that is not finite was recorded as none, and is the strangest of all.
        scores = np.nan_to_num(recorded.scores, nan=np.inf)
        order = np.argsort(-scores, kind="stable")[:INPUTS]
        return {"inputs": inputs_at(watched, record, order.tolist())}

    def draw(self, values: Values) -> str:
        return cards(values["inputs"])
