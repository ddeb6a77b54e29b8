"""The servers that are compared: each is started in processes of its own, called over HTTP, and ended."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from bench.gateways.learners import Served
from bench.gateways.load import form
from bench.sets.base import WORK

HERE = Path(__file__).parent
PEERS = ("litserve>=0.2,<0.3", "bentoml>=1.4,<1.5")


@dataclass(frozen=True)
class Running:
    """A started contestant: requests with `body` go to `url`; `group` is the session id of its processes."""

    url: str
    body: bytes
    content_type: str
    group: int

    def memory_mb(self) -> float:
        """The proportional set size of its processes, in MB: a shared page is divided among those that share it."""
        total = 0.0
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and os.getsid(int(folder.name)) == self.group:
                    lines = (folder / "smaps_rollup").read_text().splitlines()
                    total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            except (OSError, StopIteration):
                continue
        return total / 1e3


def tidegate(served: Served, *options: str, reference: bool = True) -> "Contestant":
    """Tidegate as `tidegate serve` starts it, with a record in a fresh SQLite file."""
    database = Path(tempfile.mkdtemp(dir=WORK)) / "record.db"
    command = [str(Path(sys.executable).with_name("tidegate")), "serve", str(served.export), "--no-monitor"]
    command += ["--database", f"sqlite:///{database}", *options]
    # Without a reference nothing is scored; a file that is not there says so.
    command += ["--reference", str(served.reference)] if reference else ["--no-reference"]
    return Contestant(command, "/v1/predict", {}, raw=True)


def predict(served: Served) -> "Contestant":
    """FastAPI around `learn.predict`."""
    command = [sys.executable, str(HERE / "in_predict.py"), str(served.export), served.kind]
    return Contestant(command, "/predict", {}, raw=False)


def litserve(served: Served) -> "Contestant":
    """LitServe with batching."""
    command = [str(_peers()), str(HERE / "in_litserve.py"), str(served.export), served.name]
    return Contestant(command, "/predict", {}, raw=False)


def bentoml(served: Served) -> "Contestant":
    """BentoML with adaptive batching."""
    command = [str(_peers().with_name("bentoml")), "serve", "in_bentoml:Served", "--working-dir", str(HERE), "--port"]
    environment = {"BENCH_EXPORT": str(served.export), "BENCH_NAME": served.name, "BENTOML_DO_NOT_TRACK": "1"}
    return Contestant(command, "/predict", environment, raw=False)


@dataclass(frozen=True)
class Contestant:
    """How a server is started: its port is added at the end of `command`; `raw` if it takes a picture as the whole body."""

    command: list[str]
    path: str
    environment: dict[str, str]
    raw: bool

    @contextmanager
    def running(self, served: Served, timeout_seconds: float = 120) -> Iterator[Running]:
        """The server, started and warmed up; it is ended when the context is left."""
        port = _free_port()
        is_tidegate = any("tidegate" in Path(word).name for word in self.command[:2])
        port_arguments = ["--port", str(port)] if is_tidegate else [str(port)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | self.environment
        if is_tidegate:
            # It chooses its threads by itself.
            environment.pop("OMP_NUM_THREADS")
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [*self.command, *port_arguments], env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                body, content_type = self._request(served)
                url = f"http://127.0.0.1:{port}{self.path}"
                _wait(url, body, content_type, process, log, timeout_seconds)
                yield Running(url, body, content_type, process.pid)
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(15)
                _end(process.pid)

    def _request(self, served: Served) -> tuple[bytes, str]:
        if served.kind == "tabular":
            # BentoML names the list of rows after its argument; so do we.
            return served.content, served.content_type
        return (served.content, served.content_type) if self.raw else form(served.content, served.content_type)


def _wait(url: str, body: bytes, content_type: str, process: subprocess.Popen, log, wait_seconds: float) -> None:  # type: ignore[type-arg, no-untyped-def]
    until = time.monotonic() + wait_seconds
    last = "no connection"
    while time.monotonic() < until and process.poll() is None:
        try:
            answer = httpx.post(url, content=body, headers={"content-type": content_type}, timeout=30)
            if answer.status_code == 200:
                orjson.loads(answer.content)
                for _ in range(5):
                    httpx.post(url, content=body, headers={"content-type": content_type}, timeout=30)
                return
            last = f"{answer.status_code}: {answer.text[:500]}"
        except httpx.HTTPError as error:
            last = repr(error)
        time.sleep(0.5)
    log.seek(0)
    raise RuntimeError(f"{url} did not answer ({last}):\n{log.read()[-3_000:].decode(errors='replace')}")


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _peers() -> Path:
    """The Python of the peers' environment, which adds their packages to this one's: torch and fastai are the same files."""
    folder = WORK / "venv-serving"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        (packages,) = (folder / "lib").glob("python*/site-packages")
        own_packages = next(path for path in sys.path if path.endswith("site-packages"))
        (packages / "tidegate-environment.pth").write_text(f"{own_packages}\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
