"""Environments of their own for peers whose pins clash with ours, made the first time under `bench/work`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.sets.base import WORK

HERE = Path(__file__).parent
PACKAGES = {
    "alibi": ["alibi-detect>=0.12,<0.14", "torch==2.13.0"],
    "nannyml": ["nannyml>=0.13,<0.15", "statsmodels<0.15"],
    "torchdrift": ["torchdrift==0.1.0.post1", "torch==2.13.0", "numpy<3", "scikit-learn", "matplotlib", "tqdm"],
}


def ask(peer: str, arrays: dict[str, np.ndarray], question: dict[str, Any]) -> Any:
    """Run `bench/peers/in_PEER.py` in its environment on these arrays, and return the JSON it prints last."""
    python = _environment(peer)
    WORK.mkdir(exist_ok=True)
    arrays_path = WORK / f"given-{peer}.npz"
    np.savez(arrays_path, **arrays)  # type: ignore[arg-type]
    question_path = arrays_path.with_suffix(".json")
    question_path.write_text(json.dumps(question))
    command = [python, "-W", "ignore", HERE / f"in_{peer}.py", arrays_path, question_path]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode != 0:
        raise RuntimeError(f"{peer} failed: {completed.stderr[-2_000:]}")
    return json.loads(completed.stdout.strip().splitlines()[-1])


def _environment(peer: str) -> Path:
    folder = WORK / f"venv-{peer}"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[peer]], check=True)
    return python
