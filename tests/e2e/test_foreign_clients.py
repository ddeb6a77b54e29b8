"""The public clients `tritonclient` and `kserve` against a real gateway. Their pins clash with ours, so they live apart."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Trained
from tests.e2e.harness import gateway
from tests.e2e.test_gateway_process import pictures, post, recorded_ids

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"


@pytest.fixture(scope="module")
def foreign_python() -> Path:
    if not PYTHON.exists():
        message = "no environment with tritonclient and kserve: `make clients` installs it"
        pytest.fail(message) if os.environ.get("REQUIRE_CLIENTS") else pytest.skip(message)
    return PYTHON


def test_triton_and_kserve_clients_are_answered_recorded_and_scored(
    digits: Trained, tmp_path: Path, foreign_python: Path
) -> None:
    (content,) = pictures(digits, 1)
    picture = tmp_path / "picture.png"
    picture.write_bytes(content)
    with gateway(digits.export, "--no-monitor", folder=tmp_path) as served, served.client as client:
        (usual,) = post(client, [content])
        done = subprocess.run(
            [foreign_python, Path(__file__).with_name("foreign_clients.py"), served.address, "digits", picture],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.strip().splitlines()[-1])
        assert served.stop() == 0
    triton = told["triton"]
    assert triton["metadata"]["platform"] == "fastai_vision"
    assert triton["server"]["name"] == "tidegate"
    ids = []
    for kind in ("binary", "json"):
        assert triton[kind]["prediction"] == [usual["prediction"]] * 2
        expected = list(usual["probabilities"].values())
        assert triton[kind]["probabilities"][0] == pytest.approx(expected, abs=1e-4)
        ids += triton[kind]["ids"]
    assert "not an image" in triton["refused"]
    assert told["kserve"]["prediction"] == [usual["prediction"]]
    ids += told["kserve"]["ids"]
    recorded = recorded_ids(f"sqlite:///{tmp_path / 'tidegate.db'}")
    assert len(set(ids)) == 5
    assert set(ids) <= {str(one) for one in recorded}
    assert len(recorded) == 6
