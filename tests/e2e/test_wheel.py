"""The wheel: everything inside that a user needs, away from the repository; and its parts where nothing else is installed."""

import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd
import pytest
from packaging.requirements import Requirement

from bench.startup import PARTS, startup
from tests.conftest import Trained
from tests.e2e.harness import environment, gateway

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def unpacked(wheel: Path, folder: Path) -> tuple[Path, Path]:
    """A Python of its own that holds the wheel and nothing else, and its site-packages."""
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.check_output(where, text=True).strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return python, site


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with the wheel in it; the libraries are borrowed, the checkout is not."""
    python, site = unpacked(wheel, tmp_path_factory.mktemp("whole"))
    # A path file's own path files are not read, so the checkout's editable install stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def with_group(wheel: Path, group: str, folder: Path) -> Path:
    """A Python that holds the wheel and one of pyproject's dependency groups, with all that these need and nothing else."""
    python, site = unpacked(wheel, folder)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for name in closure(groups[group]):
        for file in distribution(name).files or ():
            entry = file.parts[0]
            source, target = Path(str(distribution(name).locate_file(entry))), site / entry
            if entry != ".." and not target.exists():
                target.symlink_to(source)
    return python


def closure(requirements: Iterable[str]) -> set[str]:
    """The names of distributions that requirements ask for, and of those that these ask for."""
    waiting = [(Requirement(line), "") for line in requirements]
    names: set[str] = set()
    visited: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            key = (requirement.name.lower(), wanted)
            if key in visited:
                continue
            visited.add(key)
            try:
                needed = distribution(requirement.name).requires or []
            except PackageNotFoundError:
                pytest.fail(f"{requirement.name} is not installed here, and a part of the wheel needs it")
            names.add(requirement.name)
            waiting += [(Requirement(line), wanted) for line in needed]
    return names


def imports(python: Path, module: str, folder: Path) -> bool:
    done = subprocess.run([python, "-c", f"import {module}"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def test_the_groups_of_a_part_ask_for_what_the_whole_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    whole = set(project["project"]["dependencies"])
    for group in ("client", "monitor"):
        assert set(project["dependency-groups"][group]) <= whole, group


def test_the_client_asks_a_gateway_where_only_the_wheel_and_httpx_are(
    wheel: Path, digits: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = with_group(wheel, "client", tmp_path / "device")
    assert not any(imports(python, name, tmp_path) for name in ("numpy", "sqlalchemy", "pydantic", "orjson", "torch"))
    picture = next((digits.folder / "traffic").rglob("*.png"), None) or next(digits.folder.rglob("*.png"))
    script = (
        "import sys; from pathlib import Path; from tidegate import Client\n"
        "answer = Client(sys.argv[1]).predict(Path(sys.argv[2]), tags={'site': 'kiel'})\n"
        "print(answer.prediction, answer.ood.flagged)"
    )
    with gateway(digits.export, folder=tmp_path) as served:
        done = subprocess.run(
            [python, "-c", script, served.address, picture], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    digit, flagged = done.stdout.split()
    assert digit in "0123456789"
    assert flagged in ("True", "False")
    told_of(python, ("import tidegate", "the client"), tmp_path, capsys)


def test_a_monitor_looks_and_reports_where_neither_torch_nor_fastai_is(
    wheel: Path, cells: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = with_group(wheel, "monitor", tmp_path / "watcher")
    assert not any(imports(python, name, tmp_path) for name in ("torch", "fastai", "torchvision", "fastapi"))
    table = pd.read_csv(cells.folder / "valid.csv").drop(columns="diagnosis").astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    with gateway(cells.export, "--no-monitor", folder=tmp_path) as served, served.client as client:
        for start in range(0, 120, 60):
            answer = client.post("/v1/predict", json={"rows": rows[start : start + 60]})
            assert answer.status_code == 200, answer.text

    def tidegate(*words: object) -> str:
        command = [str(python), "-m", "tidegate", *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "cells: " in tidegate("monitor", "--once")
    tidegate("report", "-o", "reports")
    (page,) = (tmp_path / "reports").glob("drift-*[0-9a-f].html")
    assert "cells" in page.read_text()
    told_of(python, ("the monitor",), tmp_path, capsys)


def told_of(python: Path, parts: Iterable[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Print how long parts take to import there, and the memory they then hold."""
    with capsys.disabled():
        for part in parts:
            measured = startup(PARTS[part], python, folder, repeats=1)
            print(f"\n  {part}: {1e3 * measured.seconds:,.0f} ms, {measured.megabytes:,.0f} MB")  # noqa: T201


def test_the_wheel_holds_migrations_templates_and_static_files_and_no_second_alembic(installed: Path) -> None:
    site = next((installed.parent.parent / "lib").glob("python*/site-packages"))
    for name in (
        "store/migrations/versions/0001_first_tables.py",
        "reports/templates/report.html",
        "reports/static/tidegate.css",
    ):
        assert (site / name).is_file(), name
    assert not (site / "alembic").exists()
    assert not (site / "tests").exists()


def test_installed_elsewhere_it_profiles_migrates_serves_and_shows_its_pages(
    installed: Path, cells: Trained, tmp_path: Path
) -> None:
    (tmp_path / "cells.pkl").write_bytes(cells.export.read_bytes())

    def tidegate(*words: object) -> None:
        done = subprocess.run(
            [installed, "-m", "tidegate", *map(str, words)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    origin = subprocess.check_output([installed, "-c", "import store; print(store.__file__)"], text=True, cwd=tmp_path)
    assert str(installed.parent.parent) in origin
    tidegate("profile", "cells.pkl", "--data", cells.folder / "train.csv", "--valid", cells.folder / "valid.csv")
    tidegate("db", "upgrade")
    with gateway("cells.pkl", folder=tmp_path, python=[str(installed)]) as served, served.client as client:
        example = client.get("/try").text
        assert "mean_radius" in example
        for path in ("/", "/reports", "/alerts", "/docs", "/static/vendor/swagger-ui/swagger-ui.css"):
            assert client.get(path, headers={"accept": "text/html"}).status_code == 200
