"""Real processes of the command line, with real ports and files."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 90


def environment() -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    # Only the tests' own processes are held to one thread each: they share the machine, a gateway does not.
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TIDEGATE_") and name != "OMP_NUM_THREADS"
    }


def command(*words: object) -> list[str]:
    """A command line of this checkout's Tidegate."""
    return [sys.executable, "-m", "tidegate", *map(str, words)]


def run(*words: object, folder: Path, timeout: float = START_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return subprocess.run(
        command(*words), cwd=folder, env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )


@dataclass
class Gateway:
    """A gateway process that answers."""

    process: subprocess.Popen[str]
    address: str
    lines: list[str]

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=30)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(kind)
        return self.process.wait(timeout=30)

    def children(self) -> list[int]:
        """The processes it started."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in listed.split()]


@contextmanager
def gateway(
    *words: object, folder: Path, python: list[str] | None = None, also: dict[str, str] | None = None
) -> Iterator[Gateway]:
    """Serve on a free port until the block ends; `also` are more environment variables."""
    arguments = ["serve", *map(str, words), "--port", "0"]
    process = subprocess.Popen(
        [*(python or [sys.executable]), "-m", "tidegate", *arguments],
        cwd=folder,
        env=environment() | (also or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    addresses: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"serves .* at (http://\S+)", line):
                addresses.put(found[1])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        started = Gateway(process, _address(process, addresses, lines), lines)
        wait_for(lambda: _ready(started.address), "the gateway to be ready")
        yield started
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(timeout=10)
        assert process.stdout is not None
        process.stdout.close()


def wait_for(condition, what: str, seconds: float = START_SECONDS) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


def _address(process: subprocess.Popen[str], addresses: "queue.Queue[str]", lines: list[str]) -> str:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            return addresses.get(timeout=0.2)
        except queue.Empty:
            if process.poll() is not None:
                break
    raise AssertionError("the gateway did not start:\n" + "".join(lines))


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready").status_code == 200
    except httpx.TransportError:
        return False
