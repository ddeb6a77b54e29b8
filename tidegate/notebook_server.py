"""A gateway started from a notebook: a process of its own, which stops with the kernel."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from monitor.reference.profile import Reference
from reports.drift import DriftReport
from serving.learner.loading import load, weights_sha256
from store.database.engine import Database
from store.errors import BadLearner
from store.store import Store
from tidegate.gateway_process import GatewayProcess
from tidegate.notebook import report
from tidegate.settings import Settings, load_settings


@dataclass(frozen=True)
class LookFindings:
    """What one look of the monitor found. It shows itself in a notebook.

    Attributes:
        sentences: one for each model, followed by its alerts that changed.
        reports: one for each model; None where there was too little to judge.
        address: of the gateway that shows the reports whole.
    """

    sentences: tuple[tuple[str, ...], ...]
    reports: tuple[DriftReport | None, ...]
    address: str

    def __repr__(self) -> str:
        lines = []
        for sentences, found in zip(self.sentences, self.reports, strict=True):
            lines += [*sentences, *([] if found is None else [f"  report: {self._page(found)}"])]
        return "\n".join(lines) or "No model was ever served from this record."

    def _repr_html_(self) -> str:
        shown = []
        for (sentence, *alerts), found in zip(self.sentences, self.reports, strict=True):
            # The card says what the sentence does.
            shown.append(f"<p>{escape(sentence)}</p>" if found is None else found._repr_html_())
            shown += [f"<p>{escape(alert)}</p>" for alert in alerts]
            if found is not None:
                shown.append(f'<p><a href="{escape(self._page(found))}" target="_blank">the whole report</a></p>')
        return "".join(shown)

    def _page(self, found: DriftReport) -> str:
        return f"{self.address}/reports/{found.document['run']}"


class Served(GatewayProcess):
    """A gateway that runs beside a notebook.

    Attributes:
        address: where it answers, such as `http://127.0.0.1:43210`.
        client: a `tidegate.Client` that asks it: `service.client.predict(Path("picture.png"))`.
        database: SQLAlchemy URL of its record, for `tidegate … --database`.
    """

    def __init__(
        self, process: subprocess.Popen[str], settings: Settings, folder: tempfile.TemporaryDirectory[str]
    ) -> None:
        super().__init__(process, folder, say=lambda line: print(line, file=sys.stderr))  # noqa: T201
        self._settings = settings
        self.database: str = settings.store.database

    def watch(self) -> LookFindings:
        """Have the monitor look now, at every model of this gateway's record, as it does by itself every hour.

        Raises:
            TidegateError: the record can't be read.
        """
        # The statistics' libraries, and Evidently where rows are reported on, are imported by who looks.
        from monitor.passes.run_passes import deserves_report
        from tidegate.monitor_jobs import describe_result, look

        with Store.open(self._settings.store, make=False) as store:
            results = look(store, self._settings.monitor)
            reports = tuple(
                DriftReport(store.reports.document(one.run.id)) if deserves_report(one) else None for one in results
            )
        sentences = tuple(tuple(describe_result(one)) for one in results)
        return LookFindings(sentences, reports, self.address)

    def report(self, run: str | None = None) -> DriftReport:
        """A drift report of this gateway's record; by default the latest. See `tidegate.report`."""
        return report(run, database=self.database)

    def __repr__(self) -> str:
        if not self.running:
            return "Tidegate, stopped"
        return f"Tidegate at {self.address}: .client.predict(…) asks it, .watch() has the monitor look now, .stop() ends it"

    def _repr_html_(self) -> str:
        if not self.running:
            return "<p>Tidegate, stopped.</p>"
        links = " · ".join(
            f'<a href="{self.address}{path}" target="_blank">{label}</a>'
            for path, label in (("", self.address), ("/try", "try it"), ("/reports", "reports"), ("/docs", "API"))
        )
        return (
            f"<p>Tidegate serves at {links}. Ask it with <code>.client.predict(…)</code>; <code>.watch()</code> has the "
            "monitor look now, and <code>.report()</code> shows what it found last. It stops with this kernel, or with "
            "<code>.stop()</code>.</p>"
        )


def serve(
    learner: Any, reference: Reference | str | Path | None = None, *, port: int = 0, database: str | None = None
) -> Served:
    """Serve a learner from a notebook: `service = serve(learn, profile(learn))`. What takes long is printed meanwhile.

    Args:
        learner: a trained fastai learner, or the path of an export. A learner whose export lies at
            `learn.path/"export.pkl"` is served from there; any other is exported to a temporary folder.
        reference: its reference, or the file of one; without it predictions are recorded and not scored.
        port: 0 for any free one.
        database: SQLAlchemy URL; by default the settings'.

    Returns:
        The running service: its `address`, a `client` for it, `watch()`, which has the monitor look now, `report()`, which
        shows what it found last, `log`, and `stop()`. It stops with the kernel.

    Raises:
        TidegateError: it can't be served; the message says why.
    """
    settings = load_settings(store={"database": database})
    # The notebook may change its folder later, and the record stays where it is.
    record = Database(settings.store)
    settings.store.database = record.url_to_share or settings.store.database
    folder: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(prefix="tidegate-")
    export = Path(learner) if isinstance(learner, str | Path) else _find_or_make_export(learner, Path(folder.name))
    options = ["--no-reference"]
    if isinstance(reference, Reference):
        options = ["--reference", str(reference.save(Path(folder.name) / "learner.reference"))]
    elif reference is not None:
        options = ["--reference", str(reference)]
    command = [sys.executable, "-m", "tidegate", "serve", str(export), "--port", str(port), "--with-parent", *options]
    process = subprocess.Popen(
        command,
        env=settings.environment_for_child(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return Served(process, settings, folder)


def _find_or_make_export(learner: Any, folder: Path) -> Path:
    """The export of this learner at its own path, if its weights are the same; else a new one in `folder`."""
    exported = Path(learner.path) / "export.pkl"
    if exported.is_file() and _holds(exported, learner):
        return exported
    path = folder / "learner.pkl"
    # fastai joins it to the learner's own path, which an absolute one replaces.
    learner.export(path.resolve())
    return path


def _holds(export: Path, learner: Any) -> bool:
    try:
        return load(export).weights_sha256 == weights_sha256(learner.model)
    except BadLearner:
        # Of another Python, perhaps: it is exported anew.
        return False
