"""The wheel: everything inside that a user needs, away from the repository."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Trained
from tests.e2e.harness import environment, gateway

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with the wheel in it; the libraries are borrowed, the checkout is not."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # A path file's own path files are not read, so the checkout's editable install stays out.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


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
