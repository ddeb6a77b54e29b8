"""Modules of the user's own: by name, by file, or found beside the export; what fails is one line."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.learner.export.user_modules import import_into_main, modules_beside
from serving.learner.loading import load
from store.errors import BadLearner
from tests.conftest import Trained
from tests.serving.learner.test_loading import exported_with_a_module_of_the_users


@pytest.fixture(autouse=True)
def undo_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("users_"):
            del sys.modules[name]


def test_a_module_may_import_fastai_itself(tmp_path: Path) -> None:
    (tmp_path / "users_getters.py").write_text("from fastai.vision.all import *\n\ndef get_label(file): ...\n")
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from serving.learner.export import user_modules as own; own.import_into_main(['users_getters']); get_label",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_module_may_be_named_by_its_file(digits: Trained, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    export = exported_with_a_module_of_the_users(digits, tmp_path, "users_by_file")
    moved = export.rename(tmp_path / "models" / "users.pkl")
    assert load(moved, import_modules=(str(tmp_path / "users_by_file.py"),)).name == "users"


def test_a_module_beside_the_export_is_found_and_named_before_it_runs(
    digits: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export = exported_with_a_module_of_the_users(digits, tmp_path, "users_beside")
    (tmp_path / "users_neighbour.py").write_text("import logging\nlogging.getLogger('users').warning('it runs')\n")
    file = tmp_path / "users_beside.py"
    file.write_text(f"import users_neighbour\n{file.read_text()}")
    with caplog.at_level(logging.WARNING):
        load(export)
    messages = [record.getMessage() for record in caplog.records]
    assert f"uses {file} beside it" in messages[0]
    assert f"uses {tmp_path / 'users_neighbour.py'} beside it" in messages[1]
    assert messages[2] == "it runs"


def test_a_module_beside_the_export_is_named_too_where_python_looks_anyway(
    digits: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    export = exported_with_a_module_of_the_users(digits, tmp_path, "users_in_folder")
    monkeypatch.syspath_prepend(tmp_path)
    load(export)
    assert f"uses {tmp_path / 'users_in_folder.py'} beside it" in caplog.text


def test_a_file_beside_the_export_that_nothing_asks_for_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "users_unasked.py").write_text("raise AssertionError\n")
    with modules_beside(tmp_path / "export.pkl"), pytest.raises(ModuleNotFoundError):
        import users_unasked  # type: ignore[import-not-found]  # noqa: F401


def test_nothing_beside_the_export_hides_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("raise AssertionError\n")
    with modules_beside(tmp_path / "export.pkl") as beside:
        sys.modules.pop("colorsys", None)
        beside.want("colorsys")
        import colorsys
    assert colorsys.__file__ is not None
    assert not colorsys.__file__.startswith(str(tmp_path))


def test_two_exports_with_different_modules_of_one_name_are_not_mixed_up(digits: Trained, tmp_path: Path) -> None:
    exports = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        exports.append(exported_with_a_module_of_the_users(digits, folder, "users_twice"))
    assert load(exports[0]).name == load(exports[1]).name == "users"
    module = tmp_path / "b" / "users_twice.py"
    module.write_text(module.read_text() + "\nCHANGED = True\n")
    with pytest.raises(BadLearner, match=r"another one, .*a/users_twice\.py, was imported before"):
        load(exports[1])


FAILING = {
    "def get_label(file:\n": r"SyntaxError: .*users_failing\.py, line 1",
    "x = 1\nx = x / 0\n": r"ZeroDivisionError: division by zero \(.*users_failing\.py, line 2\)",
    "import users_missing\n": r"ModuleNotFoundError: No module named 'users_missing' \(.*users_failing\.py, line 1\)",
    "import sys\nsys.exit('usage')\n": r"SystemExit: usage \(.*users_failing\.py, line 2\)",
}


@pytest.mark.parametrize("source", FAILING)
@pytest.mark.parametrize("how", ["by name", "by file"])
def test_an_error_in_a_module_is_one_line_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users_failing.py").write_text(source)
    with pytest.raises(BadLearner, match=FAILING[source]) as raised:
        import_into_main(["users_failing" if how == "by name" else "users_failing.py"])
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(BadLearner, match=r"There is no file .*users_none\.py to import"):
        import_into_main([str(tmp_path / "users_none.py")])


def test_a_file_that_is_called_as_another_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("")
    with pytest.raises(BadLearner, match=r"another module is called 'random'.*Rename the file"):
        import_into_main([str(tmp_path / "random.py")])
