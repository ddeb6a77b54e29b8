"""A gateway started from a notebook: a process of its own, which stops with the kernel."""

import atexit
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from monitor.reference.profile import Reference
from serving.client import Client
from serving.learner.loading import load, weights_sha256
from store.errors import BadLearner

_START_SECONDS = 300.0


class Served:
    """A running gateway: its `address`, a `client` for it, and `stop()`. A notebook shows its links."""

    def __init__(self, process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str] | None) -> None:
        self._process = process
        self._folder = folder
        self._lines: list[str] = []
        self._addresses: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read_log, daemon=True).start()
        self.address = self._wait_for_address()
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
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """What the gateway has logged so far."""
        return "".join(self._lines)

    def __enter__(self) -> "Served":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Tidegate at {self.address}" if self.running else "Tidegate, stopped"

    def _repr_html_(self) -> str:
        if not self.running:
            return "<p>Tidegate, stopped.</p>"
        links = " · ".join(
            f'<a href="{self.address}{path}" target="_blank">{label}</a>'
            for path, label in (("", self.address), ("/try", "try it"), ("/reports", "reports"), ("/docs", "API"))
        )
        return f"<p>Tidegate serves at {links}. It stops with this kernel, or with <code>.stop()</code>.</p>"

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.append(line)
                if match := re.search(r"Tidegate serves .* at (http://\S+)", line):
                    self._addresses.put(match[1])

    def _wait_for_address(self) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                return self._addresses.get(timeout=0.1)
            except queue.Empty:
                if self._process.poll() is not None:
                    break
        self.stop()
        raise BadLearner(f"The gateway did not start. It said:\n{self.log}")


def serve(
    learner: Any, reference: Reference | str | Path | None = None, *, port: int = 0, database: str | None = None
) -> Served:
    """Serve a learner from a notebook: `serve(learn, profile(learn))`.

    Args:
        learner: a trained fastai learner, or the path of an export. A learner whose export lies at
            `learn.path/"export.pkl"` is served from there; any other is exported to a temporary folder.
        reference: its reference, or the file of one; without it predictions are recorded and not scored.
        port: 0 for any free one.
        database: SQLAlchemy URL; by default the settings'.

    Raises:
        TidegateError: it can't be served; the message says why.
    """
    folder: tempfile.TemporaryDirectory[str] | None = tempfile.TemporaryDirectory(prefix="tidegate-")
    assert folder is not None
    export = Path(learner) if isinstance(learner, str | Path) else _find_or_make_export(learner, Path(folder.name))
    options = ["--no-reference"]
    if isinstance(reference, Reference):
        options = ["--reference", str(reference.save(Path(folder.name) / "learner.reference"))]
    elif reference is not None:
        options = ["--reference", str(reference)]
    if database is not None:
        options += ["--database", database]
    command = [sys.executable, "-m", "tidegate", "serve", str(export), "--port", str(port), "--with-parent", *options]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return Served(process, folder)


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
