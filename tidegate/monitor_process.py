"""The monitor that a gateway starts, in a process of its own, so that its statistics never slow an answer down.

The child holds the reading end of a pipe. When the gateway ends, however it ends, the pipe closes and the child stops.
"""

import subprocess
import sys
from types import TracebackType

from tidegate.settings import Settings

WITH_PARENT = "--with-parent"


class MonitorProcess:
    """Runs `tidegate monitor` until the block is left."""

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        self._process = process

    @classmethod
    def beside(cls, settings: Settings) -> "MonitorProcess":
        """Start a monitor with these settings."""
        command = [sys.executable, "-m", "tidegate", "monitor", WITH_PARENT]
        return cls(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, env=settings.environment_for_child(), start_new_session=True
            )
        )

    @classmethod
    def none(cls) -> "MonitorProcess":
        """No monitor."""
        return cls(None)

    def __enter__(self) -> "MonitorProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
