"""Several gateway processes that share one port: started, watched, started again when one dies, and ended together.

Each worker holds the reading end of a pipe from this process; when this one ends, however it ends, the workers stop.
The first worker is ready before the others start, so that a learner is measured once and not by all at a time.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from store.errors import BadSettings
from tidegate.settings import Settings

logger = logging.getLogger(__name__)

_START_SECONDS = 300.0
_SECONDS_BETWEEN_CHECKS = 0.2
# A worker that dies sooner than this after its start is not started again at once.
_SHORTEST_GOOD_RUN_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class WorkerSlot:
    """What a worker inherits: its number, the file descriptor of the shared socket, and that of the pipe on which it
    reports that it is ready."""

    number: int
    socket: int
    ready: int

    @classmethod
    def parse(cls, text: str) -> "WorkerSlot":
        """Read what `str` wrote."""
        number, shared_socket, ready = map(int, text.split(":"))
        return cls(number, shared_socket, ready)

    def __str__(self) -> str:
        return f"{self.number}:{self.socket}:{self.ready}"

    def report_ready(self) -> None:
        """Tell the parent that this worker answers."""
        # Only the first worker is waited for; nobody reads what the others report.
        with suppress(BrokenPipeError):
            os.write(self.ready, b"1")
        os.close(self.ready)


class Workers:
    """Runs `settings.serving.workers` processes of `tidegate serve` on one socket until it is told to stop."""

    def __init__(self, settings: Settings, arguments: Sequence[str], shared_socket: socket.socket) -> None:
        self._settings = settings
        self._arguments = list(arguments)
        self._socket = shared_socket
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopped = threading.Event()

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; then every worker finishes what it accepted."""
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, lambda *_: self._stopped.set())
        # Before the first worker answers, so that nobody is refused meanwhile.
        self._socket.listen(2048)
        try:
            for number in range(self._settings.serving.workers):
                if self._stopped.is_set():
                    return
                self._workers.append(self._start(number, wait=number == 0))
            self._watch()
        finally:
            self._stop_all()

    def _start(self, number: int, *, wait: bool) -> subprocess.Popen[bytes]:
        readable, writable = os.pipe()
        slot = WorkerSlot(number, self._socket.fileno(), writable)
        command = [sys.executable, "-m", "tidegate", "serve", *self._arguments, "--worker", str(slot)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            env=self._settings.environment_for_child(),
            pass_fds=(slot.socket, slot.ready),
            start_new_session=True,
        )
        os.close(writable)
        try:
            if wait and not self._wait_until_ready(readable, process):
                process.kill()
                process.wait()
                raise BadSettings("The first gateway process did not start; what it said stands above.")
        finally:
            os.close(readable)
        return process

    def _wait_until_ready(self, readable: int, process: subprocess.Popen[bytes]) -> bool:
        """Whether the worker became ready before it ended or took too long."""
        os.set_blocking(readable, False)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and not self._stopped.is_set():
            try:
                return bool(os.read(readable, 1))
            except BlockingIOError:
                if process.poll() is not None:
                    return False
                time.sleep(_SECONDS_BETWEEN_CHECKS)
        return self._stopped.is_set()

    def _watch(self) -> None:
        """Start a worker again when it has ended; one that ends soon after its start waits longer each time."""
        started_at = [time.monotonic()] * len(self._workers)
        pauses = [0.0] * len(self._workers)
        while not self._stopped.wait(_SECONDS_BETWEEN_CHECKS):
            for number, process in enumerate(self._workers):
                if process.poll() is None or time.monotonic() < started_at[number] + pauses[number]:
                    continue
                ended_soon = time.monotonic() - started_at[number] < _SHORTEST_GOOD_RUN_SECONDS
                pauses[number] = min(_LONGEST_PAUSE_SECONDS, max(1.0, 2 * pauses[number])) if ended_soon else 0.0
                logger.error("gateway process %d ended with %s; another is started", number, process.returncode)
                assert process.stdin is not None
                process.stdin.close()
                self._workers[number] = self._start(number, wait=False)
                started_at[number] = time.monotonic()

    def _stop_all(self) -> None:
        for process in self._workers:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + self._settings.serving.grace_seconds + 5
        for process in self._workers:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
