"""Something that is done again and again in a thread of its own."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class PeriodicTask:
    """Does a job every so many seconds until stopped, by a clock that nobody sets: where a machine's clock is set back an
    hour, what waited for an instant of it would stand still for that hour. What fails is logged and done again.

    Args:
        name: of the job, for people.
        seconds: from the end of one to the beginning of the next.
        job: what is done.
        at_once: begin with one, not with a wait.
    """

    def __init__(self, name: str, seconds: float, job: Callable[[], object], *, at_once: bool = False) -> None:
        self._name, self._seconds, self._job, self._at_once = name, seconds, job, at_once
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_seconds: float | None = None) -> None:
        """Let what is running end, and begin no more; by default however long that takes."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        if not self._at_once and self._stopped.wait(self._seconds):
            return
        while True:
            try:
                self._job()
            except Exception:
                logger.exception("%s failed; the next time tries again", self._name)
            if self._stopped.wait(self._seconds):
                return
