"""What can end a process while it is loaded is loaded in another one first; the usual export is not."""

import ctypes
from pathlib import Path
from typing import Any

import pytest
import torch

from serving.learner.export.contents import read_contents
from serving.learner.export.environment import ExportEnvironment, environment_here
from serving.learner.export.probe import needs_probe
from serving.learner.loading import load
from store.errors import BadLearner
from tests.conftest import Trained


class Crash:
    """Unpickling this ends the process with a segmentation fault."""

    def __reduce__(self) -> Any:
        return (ctypes.string_at, (0,))


def test_an_export_that_ends_the_process_is_one_line_and_this_process_goes_on(tmp_path: Path) -> None:
    torch.save(Crash(), tmp_path / "crash.pkl")
    with pytest.raises(BadLearner, match=r"a process that tried was ended by SIGSEGV.*--import MODULE") as raised:
        load(tmp_path / "crash.pkl")
    assert "\n" not in str(raised.value)


def test_why_it_can_not_be_loaded_comes_back_from_the_other_process(tmp_path: Path) -> None:
    class Bytes:
        def __reduce__(self) -> Any:
            return (ctypes.c_char, (b"a",))

    torch.save(Bytes(), tmp_path / "no_learner.pkl")
    with pytest.raises(BadLearner, match="holds no learner"):
        load(tmp_path / "no_learner.pkl")


@pytest.mark.parametrize("kind", ["digits", "cells"])
def test_the_usual_export_is_loaded_at_once(kind: str, request: pytest.FixtureRequest) -> None:
    trained: Trained = request.getfixturevalue(kind)
    contents = read_contents(trained.export)
    assert contents is not None
    assert not needs_probe(contents, None)


def test_an_export_that_was_loaded_on_this_python_before_is_loaded_at_once(tmp_path: Path) -> None:
    known = ExportEnvironment("0" * 64, None, environment_here())
    assert not needs_probe(None, known)
    elsewhere = {**environment_here(), "python": "3.9.1"}
    assert needs_probe(None, ExportEnvironment("0" * 64, elsewhere, elsewhere))
