"""Loads a version of a learner: checked against its reference, tuned, and registered in the store."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.reference.profile import Reference
from serving.engine.backends import NotEligible
from serving.engine.engine import Engine, open_engine
from serving.engine.tuning import Trial, Tuning, cores, tune, tuning_beside, use
from serving.gateway.compatibility import check_same_learner
from serving.gateway.gateway import Gateway
from serving.rollout.traffic_plan import Version
from serving.settings import ServingSettings
from store.recording.prediction_batch import RawInput
from store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionLoader:
    """Loads versions of one served name.

    Args:
        store: where they are recorded.
        settings: of the gateway.
        name: what the model is called on pages; None for its file's name.
        import_modules: modules that learners need.
        announce: called with each file and its hash before its code runs.
        tell: called with what takes long, before it is done.
    """

    store: Store
    settings: ServingSettings
    name: str | None
    import_modules: tuple[str, ...]
    announce: Callable[[Path, str], None]
    tell: Callable[[str], None]

    def __call__(self, version: Version) -> Gateway:
        """Load one; takes seconds.

        Raises:
            TidegateError: it can't be served; the message says why.
        """
        reference = None if version.reference is None else Reference.load(version.reference)
        engine = open_engine(
            version.export,
            self.settings,
            reference,
            sha256=version.sha256,
            import_modules=self.import_modules,
            announce=lambda sha256: self.announce(version.export, sha256),
        )
        trial = self._use_fastest(engine, version.export, reference)
        return Gateway(engine, reference, self.store, self.settings, name=self.name, trial=trial)

    def _use_fastest(self, engine: Engine, export: Path, reference: Reference | None) -> Trial:
        """Run the engine by the fastest backend and number of threads, as measured now or earlier."""
        if reference is not None:
            # Its inputs are run below, and must be this learner's.
            check_same_learner(engine, reference)
        inputs = (
            []
            if reference is None
            else [RawInput(sample.media_type, sample.content) for sample in reference.parity_samples]
        )
        maximum_threads = max(1, cores() // self.settings.workers)
        tuning = Tuning.load(tuning_beside(export), engine.loaded.sha256) or self._measure(engine, export, inputs)
        chosen = tuning.within(maximum_threads)
        try:
            use(engine, chosen, inputs)
        except NotEligible as error:
            logger.warning("%s was the fastest and can't be used any more (%s): measuring again", chosen.backend, error)
            chosen = self._measure(engine, export, inputs).within(maximum_threads)
            use(engine, chosen, inputs)
        return chosen

    def _measure(self, engine: Engine, export: Path, inputs: Sequence[RawInput]) -> Tuning:
        """Measure, and save what was measured beside the export."""
        file = tuning_beside(export)
        self.tell(f"Measuring the fastest way to run {export.name} here; kept in {file.name} for the next start")
        tuning = tune(engine, inputs, thorough=False)
        tuning.save(file)
        return tuning
