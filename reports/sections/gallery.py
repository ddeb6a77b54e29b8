"""The strangest inputs of the window, each beside the training example nearest to it."""

from monitor.history.report_material import JudgedWindow, ReportMaterial, strangest_rows
from reports.sections.base import Section, Values
from reports.sections.inputs import draw_inputs, input_values


class Gallery(Section):
    name = "gallery"
    title = "The strangest inputs"
    lead = "The inputs furthest from training, and beside each the training example most like it to the learner."

    def values(self, window: JudgedWindow, material: ReportMaterial) -> Values | None:
        row_indices = strangest_rows(window)
        return {"inputs": input_values(window, material, row_indices)} if row_indices else None

    def draw(self, values: Values) -> str:
        return draw_inputs(values["inputs"])
