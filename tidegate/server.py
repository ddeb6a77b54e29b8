"""The serving process: socket first, then record, learners, and the monitor beside it."""

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import typer
import uvicorn
from threadpoolctl import threadpool_limits

from monitor.alerts.pages_address import ADDRESS
from monitor.reference.fit import held_out_weakness
from monitor.scheduling.heartbeat import Heartbeat
from serving.http.application import create_application
from serving.learner.loading import name_of
from serving.rollout.deployment import Deployment
from serving.rollout.traffic_plan import Plan, Role, Version, plan_beside
from serving.rollout.version_loading import VersionLoader
from store.errors import BadSettings
from store.repositories.processes import ProcessKind
from store.store import Store
from tidegate.commands import command_on
from tidegate.logs import configure_logging
from tidegate.monitor_process import MonitorProcess
from tidegate.operator_messages import tell_step
from tidegate.parent_watch import call_when_parent_ends
from tidegate.pickle_warning import warn_that_export_is_code
from tidegate.settings import Settings
from tidegate.workers import Workers, WorkerSlot

_SECONDS_BEFORE_SENT_AGAIN = 0.1


@dataclass(frozen=True)
class NamedExport:
    """What the operator named: an export, its reference, the hash it must have, the modules it needs."""

    export: Path
    reference: Path | None
    sha256: str | None
    import_modules: tuple[str, ...] = ()


class Server:
    """Serves until it is told to stop; SIGTERM and Ctrl-C finish what was accepted and exit with 0.

    Args:
        settings: of every room.
        slot: which worker this is among several that share a socket; None for a process that serves alone.

    Raises:
        BadSettings: the port is taken.
    """

    def __init__(self, settings: Settings, slot: WorkerSlot | None = None) -> None:
        self._settings = settings
        self._slot = slot
        # Before the learner is loaded: a taken port should be known at once.
        listening = settings.serving.host, settings.serving.port
        self._socket = _listen(*listening) if slot is None else socket.socket(fileno=slot.socket)
        host, port = self._socket.getsockname()[:2]
        self._address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"

    @property
    def _speaks(self) -> bool:
        """Whether this process tells the operator what it does: the only one, or the first of several workers."""
        return self._slot is None or self._slot.number == 0

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def run(self, exports: Sequence[NamedExport], *, arguments: Sequence[str], with_parent: bool = False) -> None:
        """Serve learners, the default first.

        Args:
            exports: what the operator named.
            arguments: how the command line named it, for processes that do the same.
            with_parent: stop when standard input closes.
        """
        configure_logging()
        settings = self._settings
        settings.monitor.public_url = settings.monitor.public_url or self._address
        if settings.serving.workers > 1 and self._slot is None:
            Store.open(settings.store).close()
            with self._monitor():
                Workers(settings, arguments, self._socket).run()
            return
        with Store.open(settings.store) as store:
            self._serve(exports, store, with_parent=with_parent)

    def _serve(self, exports: Sequence[NamedExport], store: Store, *, with_parent: bool) -> None:
        # Before learners are loaded: a spool that can't be opened is told at once.
        store.recording.open()
        deployments = self._deployments(exports, store)
        # The scorer's products of small matrices gain nothing from threads that models want. And here, before anything runs:
        # several threads multiply in a gateway, and OpenBLAS, given threads of its own, has left one of them waiting for
        # ever while a version was being loaded.
        threadpool_limits(limits=1, user_api="blas")
        app = create_application(deployments, store, self._settings.monitor, self._settings.serving)
        # What is loaded stays: collecting garbage among it takes long, at any moment.
        gc.collect()
        gc.freeze()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(self._settings.serving.grace_seconds),
            server_header=False,
        )
        server = uvicorn.Server(config)

        def send_again(number: int, _frame: object) -> None:
            # One that comes before uvicorn takes signals must not be lost; one that it has obeyed it raises again.
            if not server.should_exit:
                timer = threading.Timer(_SECONDS_BEFORE_SENT_AGAIN, os.kill, (os.getpid(), number))
                timer.daemon = True
                timer.start()

        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, send_again)
        if self._speaks:
            self._greet(deployments, store)
        if self._slot is not None:
            self._slot.report_ready()
        if with_parent or self._slot is not None:
            call_when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
        monitor = self._monitor() if self._slot is None else MonitorProcess.none()
        heartbeat = Heartbeat(store, self._settings.monitor, ProcessKind.GATEWAY, self._state_for_others(store))
        with monitor, heartbeat.beating():
            server.run(sockets=[self._socket])

    def _state_for_others(self, store: Store) -> Callable[[], dict[str, Any]]:
        """What this gateway says of itself to other processes, again at each heartbeat."""

        def state() -> dict[str, Any]:
            status = store.recording.status()
            spool = {"unrecorded": status.unrecorded, "spool": status.spool_warning, "waiting": status.spool.rows}
            return {**spool, ADDRESS: self._settings.monitor.public_url}

        return state

    def _monitor(self) -> AbstractContextManager[MonitorProcess]:
        return MonitorProcess.beside(self._settings) if self._settings.serving.monitor else MonitorProcess.none()

    def _deployments(self, exports: Sequence[NamedExport], store: Store) -> list[Deployment]:
        names = [self._settings.serving.name or name_of(named.export) for named in exports]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise BadSettings(f"Two learners would be served as {duplicate!r}. Rename one of the files.")
        return [self._deployment(named, name, store) for named, name in zip(exports, names, strict=True)]

    def _deployment(self, named: NamedExport, name: str, store: Store) -> Deployment:
        plan_file = plan_beside(named.export)
        plan = Plan.load(plan_file) or Plan(Version(named.export, named.sha256, named.reference))
        if named.sha256 is not None and plan.live.sha256 != named.sha256:
            raise BadSettings(
                f"{plan_file} says that version {(plan.live.sha256 or '')[:12]} of {name} is live, and --sha256 asks for "
                f"{named.sha256[:12]}. Change the hash, or `tidegate rollout reload {named.export}`."
            )

        def announce(export: Path, sha256: str) -> None:
            if self._speaks:
                warn_that_export_is_code(export, sha256, pinned=named.sha256 is not None)

        def tell(step: str) -> None:
            if self._speaks:
                tell_step(step)

        loader = VersionLoader(store, self._settings.serving, name, named.import_modules, announce, tell)
        return Deployment(name, plan, loader, plan_file)

    def _greet(self, deployments: Sequence[Deployment], store: Store) -> None:
        """Print where everything is, and by which backend each version runs."""
        names = ", ".join(deployment.name for deployment in deployments)
        lines = [
            f"Tidegate serves {names or 'no learner, and takes predictions made elsewhere,'} at {self._address}",
            f"  try it     {self._address}/try" if deployments else f"  send them  POST {self._address}/v1/ingest",
            f"  reports    {self._address}/reports",
            f"  API        {self._address}/docs",
            f"  record     {store.database.label}",
        ]
        for deployment in deployments:
            for role in deployment.by_role:
                label = len(deployments) > 1 or role is not Role.LIVE
                lines += _version_lines(deployment, role, with_label=label)
        if self._settings.serving.workers > 1:
            lines.append(f"  workers    {self._settings.serving.workers} processes share the port")
        if self._settings.serving.monitor:
            schedule = self._settings.monitor.cron or f"every {self._settings.monitor.every_minutes:g} minutes"
            lines.append(f"  monitor    {schedule}; now: {command_on(store.database, 'monitor', '--once')}")
        typer.echo("\n".join(lines))


def _version_lines(deployment: Deployment, role: Role, *, with_label: bool) -> list[str]:
    """How one version runs, and what it is compared with."""
    gateway, version = deployment.by_role[role], deployment.plan.versions()[role]
    trial = gateway.trial
    assert trial is not None
    label = f"{gateway.label} ({role.value}): " if with_label else ""
    lines = [
        f"  runs by    {label}{trial.backend} on {gateway.engine.device}, "
        f"{trial.threads} thread{'s' if trial.threads > 1 else ''}: "
        f"{trial.alone_ms:.3g} ms an input, {trial.batched_ms:.3g} ms in a batch",
        f"  reference  {version.reference}"
        if version.reference is not None
        else "  no reference: predictions are recorded but not scored. Make one with "
        "`tidegate profile EXPORT --data TRAINING_DATA`, then serve again.",
    ]
    if gateway.reference is not None and not np.isfinite(gateway.reference.threshold):
        lines.append(f"  note       {label}{held_out_weakness(gateway.reference)} Profile with more, then serve again.")
    return lines


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
