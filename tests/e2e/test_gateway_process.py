"""A gateway as its operator runs it."""

import json
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Trained
from tests.e2e.harness import Gateway, command, environment, gateway, run, wait_for
from tests.monitor.receiver import receiving

pytestmark = pytest.mark.e2e


def pictures(digits: Trained, number: int) -> list[bytes]:
    return [file.read_bytes() for file in sorted((digits.folder / "traffic").rglob("*.png"))[:number]]


def post(client: httpx.Client, contents: list[bytes]) -> list[dict[str, Any]]:
    files = [("file", (f"{place}.png", content, "image/png")) for place, content in enumerate(contents)]
    answer = client.post("/v1/predict", files=files)
    answer.raise_for_status()
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    return predictions


def recorded_ids(url: str) -> list[UUID]:
    from sqlalchemy import select

    from store.database.tables import PredictionRow

    with Store.open(StoreSettings(database=url)) as store, store.database.reading() as session:
        return list(session.scalars(select(PredictionRow.id)))


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_it_serves_with_the_reference_beside_the_export_and_says_where(digits: Trained, tmp_path: Path) -> None:
    with gateway(digits.export, folder=tmp_path) as served, served.client as client:
        (one,) = post(client, pictures(digits, 1))
        assert one["ood"] is not None
        told = "".join(served.lines)
        assert "An exported learner is code" in told
        assert "--sha256" in told
        assert "digits.reference" in told
        children = served.children()
        assert len(children) == 1
        assert served.stop() == 0
        wait_for(lambda: not alive(children[0]), "the monitor beside it to end", 20)
    assert recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}") == [UUID(one["id"])]
    # Nor does a library complain of what it finds at the end.
    assert not [line for line in served.lines if "Traceback" in line or "leaked" in line]


def test_sigterm_under_load_finishes_what_was_accepted_and_exits_with_zero(digits: Trained, tmp_path: Path) -> None:
    answered, stopped = _load_until(digits, tmp_path, lambda served: served.stop(signal.SIGTERM))
    assert stopped == 0
    recorded = recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}")
    assert len(recorded) == len(set(recorded))
    assert set(answered) == set(recorded)


def test_kill_under_load_loses_no_answered_prediction(digits: Trained, tmp_path: Path) -> None:
    children: list[int] = []

    def kill(served: Gateway) -> int:
        children.extend(served.children())
        return served.stop(signal.SIGKILL)

    answered, _ = _load_until(digits, tmp_path, kill)
    recorded = recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}")
    assert len(answered) > 50
    assert len(recorded) == len(set(recorded))
    assert set(answered) <= set(recorded)
    wait_for(lambda: not alive(children[0]), "the orphaned monitor to end", 20)
    with gateway(digits.export, folder=tmp_path) as again, again.client as client:
        post(client, pictures(digits, 2))


def _load_until(digits: Trained, folder: Path, end) -> tuple[list[UUID], int]:
    contents = pictures(digits, 64)
    answered: list[UUID] = []
    over = threading.Event()

    with gateway(digits.export, folder=folder) as served:

        def client_of_many(place: int) -> None:
            with served.client as client:
                while not over.is_set():
                    try:
                        found = post(client, contents[4 * place : 4 * place + 4])
                    except httpx.HTTPError:
                        return
                    answered.extend(UUID(one["id"]) for one in found)

        with ThreadPoolExecutor(16) as pool:
            clients = [pool.submit(client_of_many, place) for place in range(16)]
            try:
                wait_for(lambda: len(answered) > 300, "the load")
                code = end(served)
            finally:
                over.set()
            for one in clients:
                one.result()
    return answered, code


def test_a_body_that_never_comes_is_refused_and_delays_nobody(digits: Trained, tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_text("[serving]\nbody_seconds = 1.0\n")
    with gateway(digits.export, "--no-monitor", folder=tmp_path) as served, served.client as client:
        host, port = served.address.removeprefix("http://").split(":")
        head = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 1000\r\n\r\n"
        slow = [socket.create_connection((host, int(port))) for _ in range(20)]
        for one in slow:
            one.sendall(head + b"some of it")
        assert len(post(client, pictures(digits, 4))) == 4
        answers = [one.recv(4_096) for one in slow]
        for one in slow:
            one.close()
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)


def test_a_port_that_is_taken_is_one_clear_line(digits: Trained, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", digits.export, "--port", taken.getsockname()[1], folder=tmp_path)
    assert_one_clear_line(done, "Another program has the port")


def assert_one_clear_line(done, said: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    steps = ("Starting", "Loading", "Measuring")
    assert len([line for line in done.stderr.splitlines() if not line.startswith(steps)]) == 1, done.stderr


@pytest.mark.parametrize(
    ("export", "reference", "extra", "said"),
    [
        ("missing.pkl", None, (), "No such file"),
        ("cut.pkl", None, (), "cut short"),
        ("letter.pkl", None, (), "never made by `learn.export()`"),
        ("digits.pkl", None, ("--sha256", "0" * 64), "Nothing of it was loaded"),
        ("digits.pkl", "cut.reference", (), "damaged, cut short"),
        ("digits.pkl", "cells.reference", (), "Make a reference of this learner"),
        ("digits.pkl", "missing.reference", (), "tidegate profile"),
        ("digits.pkl", None, ("--database", "mysql://x/y"), "neither"),
        ("digits.pkl", None, ("--database", "sqlite:///newer.db"), "newer version made it"),
        ("digits.pkl", None, ("--import", "no_such_module"), "can't be imported"),
    ],
)
def test_what_can_not_be_served_is_one_clear_line(
    digits: Trained,
    cells: Trained,
    tmp_path: Path,
    export: str,
    reference: str | None,
    extra: tuple[str, ...],
    said: str,
) -> None:
    (tmp_path / "digits.pkl").write_bytes(digits.export.read_bytes())
    (tmp_path / "cut.pkl").write_bytes(digits.export.read_bytes()[:-1_000])
    (tmp_path / "letter.pkl").write_text("Dear reader")
    (tmp_path / "cut.reference").write_bytes(digits.reference.read_bytes()[:-1_000])
    (tmp_path / "cells.reference").write_bytes(cells.reference.read_bytes())
    newer = Store.open(StoreSettings(database=f"sqlite:///{tmp_path / 'newer.db'}"))
    from sqlalchemy import text

    with newer.database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newer.close()
    chosen = () if reference is None else ("--reference", reference)
    assert_one_clear_line(run("serve", export, *chosen, *extra, "--port", 0, folder=tmp_path), said)


def test_on_postgresql_from_an_empty_database_to_a_report(digits: Trained, tmp_path: Path, postgresql_url: str) -> None:
    refused = run("serve", digits.export, "--database", postgresql_url, "--port", 0, folder=tmp_path)
    assert_one_clear_line(refused, "tidegate db upgrade")
    assert run("db", "upgrade", "--database", postgresql_url, folder=tmp_path).returncode == 0
    with gateway(digits.export, "--database", postgresql_url, folder=tmp_path) as served, served.client as client:
        contents = pictures(digits, 128)
        answered = [one for start in range(0, 128, 32) for one in post(client, contents[start : start + 32])]
        looked = run("monitor", "--once", "--database", postgresql_url, folder=tmp_path)
        assert looked.returncode == 0, looked.stderr
        (report,) = client.get("/reports").json()["reports"]
        assert report["count"] == 128
        assert client.get(report["report"]).json()["count"] == 128
    assert {str(one) for one in recorded_ids(postgresql_url)} == {one["id"] for one in answered}


def test_the_monitor_beside_it_looks_by_itself_and_tells_a_webhook(digits: Trained, tmp_path: Path) -> None:
    import io

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    noise = []
    for _ in range(128):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(buffer, "PNG")
        noise.append(buffer.getvalue())
    with (
        receiving() as receiver,
        gateway(digits.export, "--every", 0.05, "--alert-to", receiver.address, folder=tmp_path) as served,
        served.client as client,
    ):
        for start in range(0, 128, 32):
            post(client, noise[start : start + 32])
        wait_for(lambda: len(receiver.bodies) > 0, "an alert", 60)
        body = receiver.bodies[0]
        assert body["data"]["report_url"].startswith(served.address)
        wait_for(lambda: httpx.get(body["data"]["report_url"]).status_code == 200, "the report it links to", 30)
        assert client.get("/v1/alerts?state=firing").json()["alerts"]
        listed = run("alerts", "--firing", folder=tmp_path)
        assert listed.stdout.startswith("firing")
        written = run("report", "-o", "out", folder=tmp_path)
        assert written.returncode == 0, written.stderr
        (page,) = [file for file in (tmp_path / "out").glob("*.html") if "columns" not in file.name]
        assert page.stat().st_size < 1_000_000


def test_check_says_yes_no_or_why_not_by_its_exit_code(digits: Trained, cells: Trained, tmp_path: Path) -> None:
    import pandas as pd

    table = pd.read_csv(cells.folder / "valid.csv")
    table.to_csv(tmp_path / "same.csv", index=False)
    table.assign(mean_radius=table.mean_radius * 2, worst_radius=table.worst_radius * 2).to_csv(
        tmp_path / "other.csv", index=False
    )
    table.head(5).to_csv(tmp_path / "few.csv", index=False)
    same = run("check", cells.export, "same.csv", folder=tmp_path)
    assert (same.returncode, "Nothing has changed" in same.stdout) == (0, True), same.stderr
    other = run("check", cells.export, "other.csv", "-o", "report.html", folder=tmp_path)
    assert (other.returncode, "Production has shifted" in other.stdout) == (1, True), other.stderr
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
    few = run("check", cells.export, "few.csv", folder=tmp_path)
    assert few.returncode == 2
    assert (few.stdout + few.stderr).count("25 more are needed") == 1
    none = run("check", cells.export, "none.csv", folder=tmp_path)
    assert_one_clear_line(none, "is not there")


def test_check_names_the_files_that_can_not_be_read(digits: Trained, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "good.png").write_bytes(pictures(digits, 1)[0])
    for number in range(25):
        (tmp_path / "new" / f"broken{number:02}.png").write_bytes(b"no picture")
    done = run("check", digits.export, "new", "-o", "report.json", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert [f"broken{number:02}.png" in done.stdout for number in range(25)] == [True] * 20 + [False] * 5
    assert "and 5 more" in done.stdout
    listed = json.loads((tmp_path / "report.json").read_text())["unreadable"]
    assert [one["input"] for one in listed] == [f"broken{number:02}.png" for number in range(25)]


def test_profile_writes_beside_the_export_and_prints_what_it_means(cells: Trained, tmp_path: Path) -> None:
    (tmp_path / "cells.pkl").write_bytes(cells.export.read_bytes())
    done = run("profile", "cells.pkl", "--data", cells.folder / "train.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cells.reference").is_file()
    for words in ("training rows", "accuracy on the held-out rows", "flagged from OOD score", "The network has seen"):
        assert words in " ".join(done.stdout.split()), done.stdout


def test_a_signal_that_comes_as_soon_as_the_address_is_told_is_not_lost(cells: Trained, tmp_path: Path) -> None:
    """The address is printed a moment before the server takes signals."""
    process = subprocess.Popen(
        command("serve", cells.export, "--no-monitor", "--port", "0"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        next(line for line in process.stdout if "serves" in line)
        process.terminate()
        process.stdout.read()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.stdout.close()
