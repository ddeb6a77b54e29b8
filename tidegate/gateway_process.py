"""A gateway in a process of its own, which stops with the process that started it."""

import atexit
import queue
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from serving.client import Client
from store.errors import BadLearner

_START_SECONDS = 300.0


class GatewayProcess:
    """A running gateway: its `address`, a `client` for it, its `log`, and `stop()`.

    Args:
        process: of `tidegate serve --with-parent`, whose standard input, output and error are pipes.
        folder: deleted when it stops.
        say: called with each line that the gateway says until it serves.

    Raises:
        BadLearner: it did not start; the message holds what it said.
    """

    def __init__(
        self,
        process: subprocess.Popen[str],
        folder: tempfile.TemporaryDirectory[str] | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._process = process
        self._folder = folder
        self._lines: list[str] = []
        self._unread: queue.Queue[str] = queue.Queue()
        self._starting = True
        threading.Thread(target=self._read_log, daemon=True).start()
        self.address = self._wait_for_address(say)
        self.client = Client(self.address)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Finish what was accepted, and end."""
        atexit.unregister(self.stop)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        if hasattr(self, "client"):
            self.client.close()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def running(self) -> bool:
        """Whether the gateway's process runs."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """What the gateway has said so far."""
        return "".join(self._lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.append(line)
                if self._starting:
                    self._unread.put(line.rstrip("\n"))

    def _wait_for_address(self, say: Callable[[str], None]) -> str:
        deadline = time.monotonic() + _START_SECONDS
        try:
            while time.monotonic() < deadline:
                try:
                    line = self._unread.get(timeout=0.1)
                except queue.Empty:
                    if self._process.poll() is not None:
                        break
                    continue
                if match := re.search(r"Tidegate serves .* at (http://\S+)", line):
                    return match[1]
                say(line)
        except BaseException:
            # Such as an impatient person's Ctrl-C: nobody else would end the process.
            self.stop()
            raise
        finally:
            self._starting = False
        self.stop()
        raise BadLearner(f"The gateway did not start. It said:\n{self.log}")
