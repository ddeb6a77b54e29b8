"""Something that is done again and again in a thread of its own."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class PeriodicTask:
    """Does a job every so many seconds until stopped, by a clock that nobody sets. What fails is logged and done again.

    For what runs beside predictions and has no due times; those are `monitor.scheduling`'s.

    Args:
        name: of the job, for people.
        seconds: from the end of one run to the beginning of the next.
        job: what is done.
    """

    def __init__(self, name: str, seconds: float, job: Callable[[], object]) -> None:
        self._name, self._seconds, self._job = name, seconds, job
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with a wait."""
        self._thread.start()

    def stop(self) -> None:
        """Let what is running end, and begin no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._job()
            except Exception:
                logger.exception("%s failed; the next time tries again", self._name)
