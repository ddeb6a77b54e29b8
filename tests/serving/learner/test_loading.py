"""Loading an export: only the one that was named, and every failure in words."""

import pickle
import sys
from pathlib import Path

import pytest
import torch

from serving.learner.loading import load, name_of, sha256_of, weights_sha256
from store.errors import BadLearner, ModelMismatch
from tests.conftest import Trained


def test_a_missing_export_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(BadLearner, match="No such file"):
        load(tmp_path / "none.pkl")


def test_an_export_cut_short_is_refused(digits: Trained, tmp_path: Path) -> None:
    (tmp_path / "cut.pkl").write_bytes(digits.export.read_bytes()[:-2_000])
    with pytest.raises(BadLearner, match="cut short"):
        load(tmp_path / "cut.pkl")


class Trap:
    """Unpickling this writes a file: what a malicious export would do, made visible."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("how", ["plain pickle", "torch archive"])
def test_nothing_is_unpickled_when_the_hash_differs(tmp_path: Path, how: str) -> None:
    sprung, export = tmp_path / "sprung", tmp_path / "trap.pkl"
    if how == "plain pickle":
        export.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        torch.save(Trap(sprung), export)
    with pytest.raises(ModelMismatch, match="Nothing of it was loaded"):
        load(export, expected_sha256="0" * 64)
    assert not sprung.exists()


def test_a_plain_pickle_is_no_export_and_never_runs(tmp_path: Path) -> None:
    (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(BadLearner, match=r"learn\.export"):
        load(tmp_path / "trap.pkl")
    assert not (tmp_path / "sprung").exists()


def test_weights_alone_are_not_a_learner(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pkl")
    with pytest.raises(BadLearner, match="keeps weights only"):
        load(tmp_path / "weights.pkl")


def test_the_right_hash_loads_whatever_its_case(digits: Trained) -> None:
    loaded = load(digits.export, expected_sha256=sha256_of(digits.export).upper())
    assert loaded.sha256 == sha256_of(digits.export)
    assert loaded.name == "digits"
    assert not loaded.learner.model.training


MODULE = """
def by_folder(file):
    return file.parent.name
"""


def exported_with_a_module_of_the_users(digits: Trained, folder: Path, module: str) -> Path:
    """An export that refers to a function by its name, as `learn.export(pickle_module=pickle)` writes it."""
    from fastai.vision import all as fastai
    from torch import nn

    (folder / f"{module}.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    try:
        by_folder = __import__(module).by_folder
    finally:
        sys.path.remove(str(folder))
    data = fastai.DataBlock((fastai.ImageBlock, fastai.CategoryBlock), get_y=by_folder)
    loaders = data.dataloaders(sorted((digits.folder / "valid").rglob("*.png"))[::40], bs=4, num_workers=0)
    model = nn.Sequential(fastai.AdaptiveConcatPool2d(1), nn.Flatten(), nn.Linear(6, loaders.c))
    fastai.Learner(loaders, model, path=folder).export("users.pkl", pickle_module=pickle)
    sys.modules.pop(module)
    return folder / "users.pkl"


def test_a_missing_function_is_named_with_the_way_to_give_it(
    digits: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = exported_with_a_module_of_the_users(digits, tmp_path, "users_labels")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "users_labels.py").rename(tmp_path / "elsewhere" / "users_labels.py")
    with pytest.raises(BadLearner, match=r"needs 'by_folder' from the module 'users_labels'.*--import users_labels"):
        load(export)
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load(export, import_modules=("users_labels",)).name == "users"
    sys.modules.pop("users_labels")


def test_a_module_to_import_that_is_not_there_is_said_to_be(digits: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(BadLearner, match="'no_such_module' can't be imported"):
        load(digits.export, import_modules=("no_such_module",))


def test_a_name_missing_from_main_says_so(digits: Trained, tmp_path: Path) -> None:
    export = tmp_path / "main.pkl"
    torch.save(pickle.PickleBuffer, export)
    content = export.read_bytes()
    # The archive's pickle names a global by module and name; same lengths keep the archive whole but for its checksum.
    import zipfile

    with zipfile.ZipFile(export) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = {
        name: body.replace(b"cpickle\nPickleBuffer\n", b"c__main__\nget_label\n") for name, body in members.items()
    }
    assert changed != members, content[:200]
    with zipfile.ZipFile(export, "w") as archive:
        for name, body in changed.items():
            archive.writestr(name, body)
    with pytest.raises(BadLearner, match=r"needs 'get_label' from your notebook or script.*--import my_module"):
        load(export)


def test_the_hash_of_weights_is_the_same_before_and_after_an_export(digits: Trained) -> None:
    first, second = load(digits.export), load(digits.export)
    assert first.weights_sha256 == second.weights_sha256
    with torch.no_grad():
        next(second.learner.model.parameters()).add_(1)
    assert weights_sha256(second.learner.model) != first.weights_sha256


@pytest.mark.parametrize(("path", "name"), [("models/digits.pkl", "digits"), ("models/cats/export.pkl", "cats")])
def test_a_model_is_named_after_its_file_or_its_folder(path: str, name: str) -> None:
    assert name_of(Path(path)) == name
