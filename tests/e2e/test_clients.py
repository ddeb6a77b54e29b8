"""How programs reach a gateway: our client, a notebook's `serve`, several workers on one port."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from serving.client import AsyncClient, Client
from store.errors import BadInput, GatewayUnavailable
from tests.conftest import Trained
from tests.e2e.harness import environment, gateway, run, wait_for
from tests.e2e.test_gateway_process import alive, pictures, recorded_ids

pytestmark = pytest.mark.e2e


class Unsteady:
    """A proxy that forwards every request whole, and closes every other connection before the answer."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        for number in range(1_000):
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, number % 2 == 0), daemon=True).start()

    def _serve(self, client: socket.socket, cut: bool) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            client.settimeout(0.3)
            try:
                while received := client.recv(65_536):
                    server.sendall(received)
            except TimeoutError:
                pass
            answer = server.recv(65_536)
            if cut:
                self.cut += 1
                return
            client.sendall(answer)

    def close(self) -> None:
        self._listener.close()


def test_more_inputs_than_a_gateway_takes_at_once_are_sent_in_several_requests(digits: Trained, tmp_path: Path) -> None:
    contents = pictures(digits, 3) * 50
    contents[70] = b"no picture"
    with gateway(digits.export, "--no-monitor", folder=tmp_path) as served:
        with Client(served.address) as client:
            outcomes = client.predict_many(contents, idempotency_key="all of them")
            again = client.predict_many(contents, idempotency_key="all of them")
            with pytest.raises(BadInput, match="not an image"):
                client.predict_many([b"no picture"] * 150)

        async def predict() -> list:
            async with AsyncClient(served.address) as several:
                return await several.predict_many(contents, idempotency_key="all of them")

        asynchronous = asyncio.run(predict())
        assert [isinstance(outcome, BadInput) for outcome in outcomes] == [place == 70 for place in range(150)]
        ids = [outcome.id for outcome in outcomes if not isinstance(outcome, BadInput)]
        for repeated in (again, asynchronous):
            assert [outcome.id for outcome in repeated if not isinstance(outcome, BadInput)] == ids
        assert sorted(recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}")) == sorted(ids)


def test_the_client_asks_again_and_nothing_is_recorded_twice(digits: Trained, tmp_path: Path) -> None:
    contents = pictures(digits, 4)
    with gateway(digits.export, "--no-monitor", folder=tmp_path) as served:
        proxy = Unsteady(int(served.address.rpartition(":")[2]))
        answers = []
        for content in contents:
            with Client(f"http://127.0.0.1:{proxy.port}") as client:
                answers.append(client.predict(content, tags={"site": "berlin"}))
        proxy.close()
        assert proxy.cut >= 2
        with Client(served.address) as client:
            several = client.predict_many([contents[0], b"no picture", contents[1]])
            assert isinstance(several[1], BadInput)
            assert several[1].field == "file[1]"
            with pytest.raises(BadInput, match="not an image"):
                client.predict(b"no picture")
            with pytest.raises(BadInput, match="not several kinds"):
                client.predict_many([contents[0], "a text"])
            with pytest.raises(BadInput, match="takes pictures"):
                client.predict({"a": 1})

        async def asked() -> list[str]:
            async with AsyncClient(served.address, model="digits") as client:
                found = await asyncio.gather(*(client.predict(content) for content in contents))
            return [str(one.prediction) for one in found]

        assert asyncio.run(asked()) == [str(one.prediction) for one in answers]
        assert served.stop() == 0
    recorded = recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}")
    assert len(recorded) == len(set(recorded)) == 4 + 2 + 4
    assert {one.id for one in answers} <= set(recorded)
    assert answers[0].ood is not None


def test_a_client_of_nothing_says_so_after_its_attempts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", retries=1) as client, pytest.raises(GatewayUnavailable, match="2 attempts"):
        client.predict("a text")


NOTEBOOK = """
import sys
from pathlib import Path
from tidegate import serve
served = serve(sys.argv[1], sys.argv[2])
print(served.address, served.client.predict(Path(sys.argv[3]).read_bytes()).ood is not None, served._process.pid, flush=True)
assert served.address in served._repr_html_()
assert {"address", "client", "report", "stop", "watch"} <= set(dir(served))
assert all(f".{name}(" in shown for name in ("watch", "stop") for shown in (repr(served), served._repr_html_()))
sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_gateway_from_a_notebook_stops_with_the_kernel(digits: Trained, tmp_path: Path, killed: bool) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(pictures(digits, 1)[0])
    kernel = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, digits.export, digits.reference, picture],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert kernel.stdin is not None
    assert kernel.stdout is not None
    with kernel.stdin, kernel.stdout:
        _address, scored, pid = kernel.stdout.readline().split()
        assert scored == "True"
        assert alive(int(pid))
        if killed:
            kernel.kill()
        else:
            kernel.stdin.close()
        kernel.wait(60)
    wait_for(lambda: not alive(int(pid)), "the gateway to end with its kernel", 40)
    assert len(recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}")) == 1


def test_workers_share_the_port_are_replaced_when_they_die_and_end_together(digits: Trained, tmp_path: Path) -> None:
    (content,) = pictures(digits, 1)
    with gateway(digits.export, "--no-monitor", "--workers", "2", folder=tmp_path) as served:
        wait_for(lambda: len(served.children()) == 2, "two workers")
        with Client(served.address) as client:
            ids = {client.predict(content).id for _ in range(10)}
            first = served.children()
            os.kill(first[0], signal.SIGKILL)
            wait_for(lambda: len(set(served.children()) - set(first)) == 1, "another worker")
            ids |= {client.predict(content).id for _ in range(10)}
        workers = served.children()
        assert served.stop() == 0
        wait_for(lambda: not any(alive(pid) for pid in workers), "the workers to end", 20)
    assert ids == set(recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}"))


def test_a_rollout_by_the_command_line_reaches_a_running_gateway(digits: Trained, tmp_path: Path) -> None:
    import shutil

    for suffix in (".pkl", ".reference"):
        shutil.copy(digits.export.with_suffix(suffix), tmp_path / f"a{suffix}")
    # The same learner in another archive: other bytes, another version, the same answers.
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.pkl") as old, zipfile.ZipFile(tmp_path / "b.pkl", "w") as new:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry))
        new.comment = b"b"
    (content,) = pictures(digits, 1)
    with gateway("a.pkl", "--no-monitor", folder=tmp_path) as served, Client(served.address) as client:
        before = client.predict(content)
        done = run("rollout", "shadow", "a.pkl", "b.pkl", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "shadow" in done.stdout
        wait_for(lambda: "shadow" in httpx.get(f"{served.address}/v1/models/a").text, "the shadow")
        assert client.predict(content).model == before.model
        assert run("rollout", "promote", "a.pkl", folder=tmp_path).returncode == 0
        wait_for(lambda: client.predict(content).model != before.model, "the promotion")
        shown = run("rollout", "show", "a.pkl", folder=tmp_path)
        assert "b.pkl" in shown.stdout
        assert "predictions" in shown.stdout
        time.sleep(0.1)
        assert run("rollout", "promote", "a.pkl", folder=tmp_path).returncode == 2


def test_tuning_measures_says_what_agrees_and_is_kept(digits: Trained, tmp_path: Path) -> None:
    import shutil

    for suffix in (".pkl", ".reference"):
        shutil.copy(digits.export.with_suffix(suffix), tmp_path / f"a{suffix}")
    refused = run("tune", "a.pkl", "--bf16", folder=tmp_path)
    assert refused.returncode == 2
    assert "--data" in refused.stderr
    done = run("tune", "a.pkl", "--bf16", "--data", digits.folder / "valid", folder=tmp_path, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "chosen" in done.stdout
    assert "the same prediction for" in done.stdout
    assert (tmp_path / "a.tuning.json").is_file()
