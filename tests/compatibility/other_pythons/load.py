"""Loads exports and predicts with each, as a gateway does, in a process that they may end.

    python -m tests.compatibility.other_pythons.load EXPORT...

Prints a line of JSON for each export: what it answered, or why it was refused.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import BadLearner
from store.recording.prediction_batch import RawInput

PICTURE, TEXT, ROW = "picture.png", "a good film", {"width": 0.5, "colour": "x"}


@dataclass(frozen=True)
class Outcome:
    """What became of one export: its answer, the sentence that refused it, or how the process that loaded it ended."""

    export: Path
    probabilities: list[float] | None = None
    refused: str | None = None
    ended: int | None = None


def outcomes(python: str, exports: Sequence[Path], environment: dict[str, str] | None = None) -> list[Outcome]:
    """Load exports with this Python; one that ends the process does so for itself alone."""
    found: list[Outcome] = []
    while len(found) < len(exports):
        command = [python, "-m", "tests.compatibility.other_pythons.load", *map(str, exports[len(found) :])]
        ended = subprocess.run(
            command, capture_output=True, text=True, cwd=Path(__file__).parents[3], env=environment, check=False
        )
        for line in ended.stdout.splitlines():
            if line.startswith("{"):
                found.append(Outcome(exports[len(found)], **json.loads(line)))
        if len(found) < len(exports):
            if ended.returncode == 0:
                raise RuntimeError(ended.stderr)
            found.append(Outcome(exports[len(found)], ended=ended.returncode))
    return found


def _answer(export: Path) -> dict[str, Any]:
    from serving.engine.engine import Engine
    from serving.learner.loading import load

    try:
        engine = Engine(load(export))
        answered = engine.predict([_input(engine.adapter.application, export.parent)]).probabilities
    except BadLearner as error:
        return {"refused": str(error)}
    assert answered is not None
    return {"probabilities": [float(value) for value in answered[0]]}


def _input(application: str, folder: Path) -> RawInput:
    from serving.learner.adapters.tabular import raw_row
    from serving.learner.adapters.text import raw_text
    from serving.learner.adapters.vision import raw_image

    if application == "tabular":
        return raw_row(dict(ROW))
    return raw_text(TEXT) if application == "text" else raw_image(folder / PICTURE)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        sys.stdout.write(json.dumps(_answer(Path(argument))) + "\n")
        sys.stdout.flush()
