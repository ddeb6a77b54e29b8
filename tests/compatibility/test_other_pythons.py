"""Exports that other Pythons made are served with the answers they have there, or refused in one line; nothing ends a verb.

`other_pythons/` holds exports made on Python 3.11, 3.12 and 3.13 by `other_pythons/make.py`. They are loaded in processes
of their own: bytecode of another Python ends the one that runs it.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.learner.export.bytecode import HERE
from serving.learner.export.contents import read_contents
from serving.learner.loading import load, sha256_of
from store.errors import BadLearner
from tests.compatibility.other_pythons.load import Outcome, outcomes

MADE = Path(__file__).parent / "other_pythons"
PYTHONS = ("3.11", "3.12", "3.13")
OTHERS = tuple(python for python in PYTHONS if python != HERE)
# What an answer needs of the functions that a notebook defines.
SERVED, REFUSED = ("folders", "notebook_labels", "tables"), ("notebook_transform", "notebook_model")


def unpack(folder: Path) -> dict[tuple[str, str], Path]:
    """Every export by the Python that made it and its kind."""
    exports = {}
    for packed in sorted(MADE.glob("made_on_*/*.pkl.gz")):
        python, kind = packed.parent.name.removeprefix("made_on_"), packed.name.removesuffix(".pkl.gz")
        (folder / python).mkdir(exist_ok=True)
        exports[python, kind] = folder / python / f"{kind}.pkl"
        exports[python, kind].write_bytes(gzip.decompress(packed.read_bytes()))
        shutil.copy(MADE / "picture.png", folder / python)
    return exports


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    return unpack(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def loaded(exports: dict[tuple[str, str], Path]) -> dict[tuple[str, str], Outcome]:
    found = outcomes(sys.executable, list(exports.values()))
    return dict(zip(exports, found, strict=True))


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("kind", SERVED)
def test_a_learner_whose_answers_need_none_of_its_own_functions_answers_as_where_it_was_made(
    loaded: dict[tuple[str, str], Outcome], python: str, kind: str
) -> None:
    expected = json.loads((MADE / f"made_on_{python}" / "answers.json").read_text())[kind]
    assert loaded[python, kind].probabilities == pytest.approx(expected, abs=1e-6), loaded[python, kind]


@pytest.mark.parametrize("kind", REFUSED)
def test_one_of_this_python_runs_its_own_functions(loaded: dict[tuple[str, str], Outcome], kind: str) -> None:
    if HERE not in PYTHONS:
        pytest.skip(f"no export was made on Python {HERE}")
    expected = json.loads((MADE / f"made_on_{HERE}" / "answers.json").read_text())[kind]
    assert loaded[HERE, kind].probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("python", OTHERS)
@pytest.mark.parametrize(
    ("kind", "function"), [("notebook_transform", "upside_down"), ("notebook_model", "Net.forward")]
)
def test_one_whose_answers_need_a_function_of_another_python_is_refused_by_its_name(
    loaded: dict[tuple[str, str], Outcome], python: str, kind: str, function: str
) -> None:
    reason = loaded[python, kind].refused
    assert reason is not None, loaded[python, kind]
    assert reason.startswith(f"The learner's function {function!r} was compiled by Python {python}, and this is Python")
    assert "--import" in reason
    assert "\n" not in reason


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("kind", ["folders", "notebook_labels", "notebook_transform"])
def test_the_python_that_made_an_export_is_seen_without_running_it(
    exports: dict[tuple[str, str], Path], python: str, kind: str
) -> None:
    contents = read_contents(exports[python, kind])
    assert contents is not None
    assert contents.python == python
    assert any(not function.fits_here for function in contents.functions) == (python != HERE)


@pytest.mark.e2e
@pytest.mark.parametrize("python", OTHERS[:1])
def test_a_verb_that_can_not_serve_it_ends_with_one_line(
    exports: dict[tuple[str, str], Path], python: str, tmp_path: Path
) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    shutil.copy(MADE / "picture.png", tmp_path / "data" / "a")
    command = [sys.executable, "-m", "tidegate", "profile", str(exports[python, "notebook_transform"])]
    ended = subprocess.run(
        [*command, "--data", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert f"'upside_down' was compiled by Python {python}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_one_that_can_not_be_read_and_was_made_elsewhere_is_refused_before_it_runs(
    exports: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    import zipfile

    export = tmp_path / "export.pkl"
    with zipfile.ZipFile(export, "w") as archive:
        # An extension code that nothing registered: it can't be followed.
        archive.writestr("export/data.pkl", b"\x80\x02\x82\x01.")
    (tmp_path / "export.environment.json").write_text(
        json.dumps(
            {"format": 1, "learner_sha256": sha256_of(export), "made_with": {"python": "3.9.1"}, "loaded_with": None}
        )
    )
    with pytest.raises(BadLearner, match=r"was exported by Python 3\.9.*Nothing of it was loaded"):
        load(export)
