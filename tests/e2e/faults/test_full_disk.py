"""A disk without room, for real: a small tmpfs. FAULTS 5."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from store.settings import StoreSettings
from store.store import Store
from tests.conftest import Trained
from tests.e2e.faults.test_faults import rows_of
from tests.e2e.harness import gateway, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("a small tmpfs can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def ask(address: str, cells: Trained) -> httpx.Response:
    return httpx.post(f"{address}/v1/predict", json={"rows": rows_of(cells)[:50]}, timeout=30)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4_096)
    return filler


@pytest.mark.parametrize("on_full", ["refuse", "serve"])
def test_a_full_disk_refuses_or_counts_and_all_goes_on_when_there_is_room(
    cells: Trained, small_disk: Path, tmp_path: Path, on_full: str
) -> None:
    database = f"sqlite:///{small_disk / 'tidegate.db'}"
    words = ("--database", database, "--no-monitor", "--on-full", on_full)
    with gateway(cells.export, *words, folder=tmp_path) as served:
        assert ask(served.address, cells).status_code == 200
        filler = fill(small_disk)
        # SQLite's log has room of its own, which comes first.
        answers: list[httpx.Response] = []
        while len(answers) < 1_000 and not _is_felt(served.address, answers):
            answers.append(ask(served.address, cells))
        if on_full == "refuse":
            refused = [answer for answer in answers if answer.status_code == 503]
            assert refused, [(answer.status_code, answer.text[:300]) for answer in answers[-2:]]
            assert "Make room" in refused[-1].json()["detail"]
            assert "retry-after" in refused[-1].headers
        else:
            assert {answer.status_code for answer in answers} == {200}
            told = httpx.get(f"{served.address}/health/recording").json()
            assert told["unrecorded"] >= 50
            page = httpx.get(served.address, headers={"accept": "text/html"}, timeout=30).text
            assert "predictions were answered without being recorded" in page
        answered = sum(len(answer.json()["predictions"]) for answer in answers if answer.status_code == 200)
        unrecorded = httpx.get(f"{served.address}/health/recording").json()["unrecorded"]
        filler.unlink()
        wait_for(lambda: ask(served.address, cells).status_code == 200, "recording to go on", 20)
        with Store.open(StoreSettings(database=database)) as store:
            with store.database.reading() as session:
                assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
            assert store.predictions.count() == 100 + answered - unrecorded
            if on_full == "serve":
                wait_for(lambda: bool(store.system_alerts.all()), "people to be told", 20)
        assert served.stop() == 0


def _is_felt(address: str, answers: list[httpx.Response]) -> bool:
    """Whether the full disk shows, in an answer or in the count of what went unrecorded."""
    if not answers:
        return False
    return answers[-1].status_code != 200 or httpx.get(f"{address}/health/recording").json()["unrecorded"] > 0
