"""The drift report: a document of plain values, and the one self-contained page drawn from it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from monitor import checks
from monitor.history.report_material import JudgedWindow, ReportMaterial
from monitor.shift.column_changes import sentence_of as columns_sentence
from monitor.shift.diagnosis import SENTENCES, Cause
from reports.render import page
from reports.report_card import report_card
from reports.sections import SECTIONS
from store.repositories.runs import CheckResult, Verdict

logger = logging.getLogger(__name__)

FORMAT = 2


@dataclass(frozen=True)
class OnSite:
    """Where a gateway shows a report: its origin, the address of Evidently's page beside it, and the run that judged the
    same window again, if one did."""

    origin: str
    columns_page: str | None
    replaced_by: UUID | None


@dataclass(frozen=True, repr=False)
class DriftReport:
    """A drift report. In a notebook it shows its card: the verdict and its numbers."""

    document: dict[str, Any]

    def __repr__(self) -> str:
        values = self.document
        return f"<DriftReport of {values['model']['name']}: {values['headline']}; {values['count']:,} predictions>"

    def html(self, site: OnSite | None = None) -> str:
        """One page that opens offline; on a gateway's site, the same page with the site's navigation."""
        drawn = []
        for section in SECTIONS:
            values = self.document["sections"].get(section.name)
            if values is not None:
                drawn.append({"title": section.title, "lead": section.lead, "body": section.draw(values)})
        return page(
            "report.html",
            inline_style=site is None,
            site=site is not None,
            on_site=site,
            document=self.document,
            sections=drawn,
        )

    def save(self, path: str | Path) -> Path:
        """Write the page, or the document if the name ends in .json."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".json":
            target.write_bytes(orjson.dumps(self.document, option=orjson.OPT_INDENT_2))
        else:
            target.write_text(self.html(), encoding="utf-8")
        return target

    def _repr_html_(self) -> str:
        # The page itself is megabytes with its pictures, and a notebook keeps every output: the card is small.
        return report_card(self.document)


def drift_report(window: JudgedWindow, material: ReportMaterial, *, no_columns_page: str | None = None) -> DriftReport:
    """The report of one judged window.

    Args:
        window: the window, and what was found in it.
        material: its inputs and counts that are drawn.
        no_columns_page: why Evidently's page could not be made, where it was asked for.
    """
    run, model = window.run, window.model
    return DriftReport(
        {
            "format": FORMAT,
            "run": str(run.id),
            "at": run.at.isoformat(),
            "since": run.since.isoformat(),
            "until": run.until.isoformat(),
            "count": run.count,
            "flagged": run.flagged,
            "verdict": run.verdict.value,
            "cause": run.cause,
            "compared_with": run.compared_with,
            "accuracy_loss": run.accuracy_loss,
            "alpha": None if window.test is None else window.test.alpha,
            "headline": _headline(run.verdict),
            "summary": _summary(window),
            "sentence": run.sentence,
            "seed": run.seed,
            "reference": run.reference_sha256,
            "model": {"sha256": model.sha256, "name": model.name, "application": model.application, "task": model.task},
            "reference_warnings": [] if window.reference is None else list(window.reference.warnings),
            "checks": [_check_values(result) for result in run.results],
            "alerts": [
                {"check": checks.title(event.check), "state": event.state.value, "sentence": event.sentence}
                for event in window.events
            ],
            "no_columns_page": no_columns_page,
            "sections": _section_values(window, material),
        }
    )


def _section_values(window: JudgedWindow, material: ReportMaterial) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for section in SECTIONS:
        try:
            values[section.name] = section.values(window, material)
        except Exception:
            # One section that fails must not take the verdicts with it: it is left out of the page.
            logger.exception("the section %s of the report failed", section.name)
            values[section.name] = None
    return values


def _check_values(result: CheckResult) -> dict[str, Any]:
    return {
        "name": result.check,
        "title": checks.title(result.check),
        "verdict": result.verdict.value,
        "sentence": result.sentence,
        "statistic": result.statistic,
        "p_value": result.p_value,
        "effect": result.effect,
        "effect_name": result.effect_name,
        "detail": result.detail_document,
    }


def _summary(window: JudgedWindow) -> str:
    """One line under the headline; what each check found stands in its own words further down."""
    run, test = window.run, window.test
    shifted = [checks.title(result.check).lower() for result in run.results if result.verdict is Verdict.SHIFTED]
    if not shifted:
        return run.sentence
    cause = ""
    if run.cause:
        cause = f"{SENTENCES[Cause(run.cause)] if test is None else test.sentence} "
    columns = f" {columns_sentence(test.columns)}" if test is not None and test.columns else ""
    return f"{cause}What has shifted: {', '.join(shifted)}.{columns}"


def _headline(verdict: Verdict) -> str:
    return {
        Verdict.OK: "Nothing has changed",
        Verdict.SHIFTED: "Production has shifted",
        Verdict.NOT_ENOUGH_DATA: "Not enough data yet",
        Verdict.NOT_APPLICABLE: "Nothing to compare with",
        Verdict.FAILED: "The comparison failed",
    }[verdict]
