"""The demo: train, export, profile, serve, then three acts of traffic, with the monitor looking after each.

Run by `make demo`. Everything it makes lies in `examples/digits/work`; what was trained is kept.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from examples.digits.pictures import letters, png, rescanned
from examples.digits.receiver import Receiver

WORK = Path(os.path.relpath(Path(__file__).parent / "work"))
EXPORT, REFERENCE, PICTURES, DATABASE = (
    WORK / "digits.pkl",
    WORK / "digits.reference",
    WORK / "pictures",
    WORK / "demo.db",
)
PER_REQUEST = 8
PORT = 8000


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--exit", action="store_true", help="end after the last act; exit code 0 if all went as told")
    exits = options.parse_args().exit
    # However the demo ends, the gateway ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    WORK.mkdir(exist_ok=True)
    _prepare()
    for leftover in WORK.glob("demo.db*"):
        leftover.unlink()
    receiver = Receiver()
    port = _free_port()
    gateway = _start_gateway(port, receiver.address)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_until_ready(client, gateway)
            as_expected = _play(client, receiver)
            _farewell(port)
            if exits:
                return 0 if as_expected else 1
            gateway.wait()
            return 0
    except KeyboardInterrupt:
        return 0
    finally:
        if gateway.poll() is None:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(timeout=30)


def _prepare() -> None:
    if not EXPORT.exists():
        _say("Training a fastai learner on 3,000 handwritten digits (once, about a minute)")
        subprocess.run([sys.executable, "-m", "examples.digits.train", str(WORK)], check=True)
    if not _has_reference():
        _say("Profiling it: what does training look like?")
        _run(*_tidegate("profile", EXPORT, "--data", PICTURES / "train", "--valid", PICTURES / "valid"))


def _has_reference() -> bool:
    """Whether there is one that this version reads."""
    from monitor.reference.profile import Reference
    from store.errors import BadReference

    try:
        Reference.load(REFERENCE)
    except BadReference:
        return False
    return True


def _start_gateway(port: int, webhook: str) -> subprocess.Popen[bytes]:
    _say("Serving it")
    command = _tidegate(
        "serve", EXPORT, "--port", port, "--database", _database(), "--alert-to", "log", "--alert-to", webhook
    )
    return subprocess.Popen(command, env=_environment())


def _play(client: httpx.Client, receiver: Receiver) -> bool:
    """Play the acts and say whether exactly the acts that should have raised an alert did."""
    rng = np.random.default_rng(1)
    files = sorted((PICTURES / "traffic").rglob("*.png"))
    digits = [files[index] for index in rng.permutation(len(files))]
    from PIL import Image

    acts: list[tuple[str, Iterable[bytes], str]] = [
        ("Act 1: everyday digits", (file.read_bytes() for file in digits[:150]), "quiet"),
        ("Act 2: letters arrive, which the learner has never seen", map(png, letters(300, rng)), "firing"),
        ("Interlude: digits again", (file.read_bytes() for file in digits[400:700]), "resolved"),
        (
            "Act 3: the digits come from a new scanner",
            (png(rescanned(Image.open(file), rng)) for file in digits[700:]),
            "firing",
        ),
    ]
    as_expected = True
    for title, pictures, expected in acts:
        _say(title)
        sent, flagged = _send(client, pictures)
        print(f"  sent {sent} pictures; the gateway flagged {flagged} as out of domain")
        earlier_messages = len(receiver.messages)
        # The gateway's own monitor looks every hour; the demo does not wait for it.
        look = ("monitor", "--once", "--database", _database(), "--alert-to", receiver.address)
        _run(*_tidegate(*look, "--public-url", client.base_url))
        states = {message["data"]["state"] for message in receiver.messages[earlier_messages:]}
        happened = states == set() if expected == "quiet" else expected in states
        as_expected &= happened and (expected == "firing" or "firing" not in states)
        if not happened:
            print(f"  !! expected {expected}, and the alerts said {sorted(states) or 'nothing'}")
    return as_expected


def _send(client: httpx.Client, pictures: Iterable[bytes]) -> tuple[int, int]:
    contents = list(pictures)
    batches = [contents[start : start + PER_REQUEST] for start in range(0, len(contents), PER_REQUEST)]

    def post(batch: list[bytes]) -> list[dict[str, Any]]:
        files = [("file", (f"{index}.png", content, "image/png")) for index, content in enumerate(batch)]
        answer = client.post("/v1/predict", files=files, data={"tags": '{"source": "demo"}'})
        answer.raise_for_status()
        predictions: list[dict[str, Any]] = answer.json()["predictions"]
        return predictions

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for predictions in pool.map(post, batches) for answer in predictions]
    return len(answers), sum(answer["ood"]["flagged"] for answer in answers)


def _farewell(port: int) -> None:
    address = f"http://127.0.0.1:{port}"
    _say("What to open")
    print(f"  overview       {address}/")
    print(f"  drift reports  {address}/reports")
    print(f"  alerts         {address}/alerts")
    print(f"  try it         {address}/try")
    print(f"  API            {address}/docs")
    print("  Ctrl-C ends the demo.", flush=True)


def _wait_until_ready(client: httpx.Client, gateway: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if gateway.poll() is not None:
            raise SystemExit("The gateway did not start; see above.")
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("The gateway was not ready within a minute.")


def _free_port() -> int:
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("No port is free.")


def _database() -> str:
    return f"sqlite:///{DATABASE}"


def _tidegate(*words: object) -> list[str]:
    return [sys.executable, "-m", "tidegate", *map(str, words)]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}


def _run(*command: str) -> None:
    print(f"  $ {' '.join(command[command.index('-m') + 1 :])}", flush=True)
    subprocess.run(command, check=True, env=_environment())


def _say(words: str) -> None:
    print(f"\n━━ {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
