"""The serving process: socket first, then learner, record, gateway, and the monitor beside it."""

import gc
import logging
import signal
import socket
from pathlib import Path
from types import TracebackType

import typer
import uvicorn
from threadpoolctl import threadpool_limits

from monitor.reference import Reference
from serving.adapters import Limits
from serving.application import create_application
from serving.engine import Engine
from serving.gateway import Gateway
from serving.pairing import check_belongs
from serving.tuning import Trial, Tuning, tune, tuning_beside, use
from store import Store
from store.errors import BadSettings
from store.predictions import RawInput
from tidegate.cli.loading import load_engine
from tidegate.logs import configure_logging
from tidegate.monitor_process import MonitorProcess
from tidegate.settings import Settings

logger = logging.getLogger(__name__)


class Server:
    """Serves until it is told to stop; SIGTERM and Ctrl-C finish what was accepted and exit with 0.

    Raises:
        BadSettings: the port is taken.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Before the learner is loaded: a taken port should be known at once.
        self._socket = _listen(settings.serving.host, settings.serving.port)
        host, port = self._socket.getsockname()[:2]
        self._address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def run(self, export: Path, reference_path: Path | None, sha256: str | None, imports: list[str] | None) -> None:
        """Serve one learner."""
        configure_logging()
        settings = self._settings
        if "public_url" not in settings.monitor.model_fields_set:
            settings.monitor.public_url = self._address
        reference = None if reference_path is None else Reference.load(reference_path)
        store = Store.open(settings.store)
        engine = load_engine(export, sha256, imports, Limits(settings.serving.maximum_megapixels))
        tuned = self._tuned(engine, export, reference)
        gateway = Gateway(engine, reference, store, settings.serving, patience_seconds=tuned.saved_by_batching_seconds)
        app = create_application(gateway, settings.monitor)
        self._greet(gateway, reference_path, tuned)
        # What is loaded stays: collecting garbage among it takes long, at any moment.
        gc.collect()
        gc.freeze()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(settings.serving.grace_seconds),
            server_header=False,
        )
        # uvicorn raises the signal again once it has shut down; by then it has been obeyed.
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        try:
            with MonitorProcess.beside(settings) if settings.serving.monitor else MonitorProcess.none():
                uvicorn.Server(config).run(sockets=[self._socket])
        finally:
            store.close()

    def _tuned(self, engine: Engine, export: Path, reference: Reference | None) -> Trial:
        """The fastest backend and number of threads, as measured now or before, in use."""
        if reference is not None:
            # Its inputs are run below, and must be this learner's.
            check_belongs(engine, reference)
        inputs = [] if reference is None else [RawInput(probe.media_type, probe.content) for probe in reference.probes]
        kept = tuning_beside(export)
        tuning = Tuning.load(kept, engine.loaded.sha256)
        if tuning is None:
            tuning = tune(engine, inputs, thorough=False)
            tuning.save(kept)
        use(engine, tuning.chosen, inputs)
        # The scorer's products of small matrices gain nothing from threads that the model wants.
        threadpool_limits(limits=tuning.chosen.threads, user_api="blas")
        return tuning.chosen

    def _greet(self, gateway: Gateway, reference_path: Path | None, tuned: Trial) -> None:
        lines = [
            f"Tidegate serves {gateway.model.name} at {self._address}",
            f"  try it     {self._address}/try",
            f"  reports    {self._address}/reports",
            f"  API        {self._address}/docs",
            f"  record     {gateway.store.database.label}",
            f"  runs by    {tuned.backend}, {tuned.threads} thread{'s' if tuned.threads > 1 else ''}: "
            f"{tuned.alone_ms:.3g} ms an input, {tuned.batched_ms:.3g} ms in a batch",
        ]
        if reference_path is None:
            lines.append(
                "  no reference: predictions are recorded but not scored. Make one with "
                "`tidegate profile EXPORT --data TRAINING_DATA`, then serve again."
            )
        else:
            lines.append(f"  reference  {reference_path}")
        if self._settings.serving.monitor:
            schedule = self._settings.monitor.cron or f"every {self._settings.monitor.every_minutes:g} minutes"
            lines.append(f"  monitor    {schedule}; now: tidegate monitor --once")
        typer.echo("\n".join(lines))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BadSettings(
            f"{host}:{port} can't be listened on: {error.strerror}. "
            "Another program has the port, or the address is not of this machine: choose another with --port or --host."
        ) from error
    return listener
