"""The pages, in a real Chromium, wide and narrow."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Trained
from tests.e2e.harness import Gateway, gateway, run
from tests.e2e.test_gateway_process import pictures, post

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::ResourceWarning")]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        message = "no Chromium on this machine: install Debian's package chromium"
        pytest.fail(message) if os.environ.get("REQUIRE_BROWSER") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture(scope="module")
def served(digits: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway after some traffic and one look of the monitor."""
    folder = tmp_path_factory.mktemp("browser")
    with gateway(digits.export, "--no-monitor", folder=folder) as started:
        with started.client as client:
            contents = pictures(digits, 120)
            for start in range(0, 120, 40):
                post(client, contents[start : start + 40])
        assert run("monitor", "--once", folder=folder).returncode == 0
        yield started


def watched_page(browser: Any, width: int) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    return page, complaints


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", ["/", "/reports", "/history?span=week", "/alerts", "/try", "/docs", "report"])
def test_every_page_fits_its_window_and_complains_of_nothing(
    browser: Any, served: Gateway, path: str, width: int
) -> None:
    if path == "report":
        with served.client as client:
            path = client.get("/reports").json()["reports"][0]["report"]
    page, complaints = watched_page(browser, width)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    page.goto(served.address + path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    assert hosts == {served.address.removeprefix("http://")}
    if path == "/docs":
        page.get_by_text("/v1/predict").first.wait_for()
    page.close()


def test_a_picture_is_tried_by_choosing_it(browser: Any, served: Gateway, digits: Trained) -> None:
    page, complaints = watched_page(browser, 1280)
    page.goto(f"{served.address}/try")
    file = next((digits.folder / "traffic" / "7").glob("*.png"))
    with page.expect_navigation():
        page.set_input_files("input[type=file]", str(file))
    assert page.inner_text(".answer") in list("0123456789")
    assert "domain" in page.inner_text(".result .badge")
    assert complaints == []
    page.close()


def test_a_saved_report_opens_without_a_server(browser: Any, served: Gateway, tmp_path: Path) -> None:
    with served.client as client:
        report = client.get("/reports").json()["reports"][0]["report"]
        (tmp_path / "drift.html").write_bytes(client.get(f"{report}.html").content)
    page, complaints = watched_page(browser, 1280)
    page.goto(f"file://{tmp_path / 'drift.html'}")
    assert page.locator("svg").count() >= 4
    assert page.locator(".strange img").count() >= 12
    assert complaints == []
    page.close()
