"""The Python that compiled a function is told from its bytecode; what another one calls otherwise is found."""

import ast
import inspect
import io
import pickle
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from serving.learner.export import bytecode
from serving.learner.export.bytecode import HERE, fits_here, known_layouts, layout_here, pythons_of
from serving.learner.export.contents import describe_code, read_contents
from serving.learner.export.stand_ins import stand_in
from serving.learner.export.unpickler import pickle_module_for
from serving.learner.export.unpickling import unpickle
from serving.learner.export.user_modules import modules_beside
from store.errors import BadLearner


def functions_of(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from functions_of(constant)


@pytest.mark.skipif(HERE not in known_layouts(), reason=f"the layout of Python {HERE} is not written down")
def test_the_layout_that_is_written_down_is_that_of_this_python() -> None:
    assert known_layouts()[HERE] == layout_here()


def test_every_function_of_a_library_fits_the_python_that_compiled_it() -> None:
    count = 0
    for file in (Path(ast.__file__), Path(pickle.__file__), *sorted(Path(torch.__file__).parent.glob("*.py"))):
        for code in functions_of(compile(file.read_text(encoding="utf-8"), str(file), "exec", dont_inherit=True)):
            assert fits_here(code.co_code), f"{file}: {code.co_qualname}"
            count += 1
    assert count > 1_000


# `lambda file: file.parent.name`, as each Python compiles it.
LAMBDAS = {
    "3.11": "97007c006a0000000000000000006a0100000000000000005300",
    "3.12": "97007c006a000000000000000000000000000000000000006a020000000000000000000000000000000000005300",
    "3.13": "95005500520000000000000000000000000000000000000052020000000000000000000000000000000000002400",
}


@pytest.mark.parametrize("python", LAMBDAS)
def test_a_lambda_tells_which_python_compiled_it(python: str) -> None:
    assert pythons_of(bytes.fromhex(LAMBDAS[python])) == {python}


@pytest.mark.parametrize("damaged", [b"", b"\x00", b"\x00\x00", b"\xff\x00", b"\x97\x00\x97"])
def test_what_is_no_function_fits_no_python(damaged: bytes) -> None:
    assert not pythons_of(damaged)
    assert not fits_here(damaged)


def archive(folder: Path, content: bytes) -> Path:
    import zipfile

    export = folder / "export.pkl"
    torch.save(0, export)
    with zipfile.ZipFile(export) as made:
        members = {name: made.read(name) for name in made.namelist()}
    with zipfile.ZipFile(export, "w") as changed:
        for name, body in members.items():
            changed.writestr(name, content if name.endswith("/data.pkl") else body)
    return export


@pytest.mark.parametrize("named", ["pathlib._local PosixPath", "pathlib._local WindowsPath", "pathlib WindowsPath"])
def test_a_path_of_another_python_or_system_is_one_of_this(tmp_path: Path, named: str) -> None:
    content = f"\x80\x02c{named.replace(' ', chr(10))}\nX\x02\x00\x00\x00C:X\x06\x00\x00\x00models\x86R."
    assert unpickled(content, tmp_path) == Path("C:", "models")


def test_an_array_of_another_numpy_is_found(tmp_path: Path) -> None:
    assert unpickled("\x80\x02cnumpy.core.multiarray\n_reconstruct\n.", tmp_path).__name__ == "_reconstruct"


def unpickled(content: str, folder: Path) -> Any:
    with modules_beside(folder / "export.pkl") as beside:
        unpickler = pickle_module_for(beside, "Python 3.13", []).Unpickler
        return unpickler(io.BytesIO(content.encode("latin1"))).load()


@pytest.mark.parametrize(
    ("named", "advice"),
    [
        ("fastcore.transform Pipeline", "exported by an older fastai"),
        ("fastai.learner NoSuchThing", "with another version of fastai"),
        ("pathlib NoSuchThing", "exported by another Python"),
        ("users_nowhere get_label", "beside the export, or name it with `--import users_nowhere`"),
    ],
)
def test_what_is_missing_is_named_with_advice_that_helps(tmp_path: Path, named: str, advice: str) -> None:
    module, name = named.split()
    export = archive(tmp_path, f"\x80\x02c{module}\n{name}\n.".encode("latin1"))
    with pytest.raises(BadLearner, match=f"needs '{name}' from the module '{module}'.*{advice}"):
        unpickle(export, read_contents(export))


def test_an_export_is_read_without_running_it(tmp_path: Path) -> None:
    target = tmp_path / "sprung"
    trap = tmp_path / "trap.pkl"
    torch.save(Trap(target), trap)
    contents = read_contents(trap)
    assert contents is not None
    assert ("os", "mkdir") in {("os" if module in ("posix", "nt") else module, name) for module, name in contents.names}
    assert not target.exists()


class Trap:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return (os.mkdir, (str(self.target),))


def test_a_pickle_that_can_not_be_followed_is_said_to_be_so(tmp_path: Path) -> None:
    assert read_contents(archive(tmp_path, b"\x80\x02\x82\x01.")) is None
    (tmp_path / "no.zip").write_bytes(b"no archive")
    assert read_contents(tmp_path / "no.zip") is None


# The arguments of `types.CodeType` for `def get_label(file, *, kind="a"): return file.name` on Python 3.10.
OF_PYTHON_310 = (
    *(1, 0, 1, 2, 1, 67, b"|\x00j\x00S\x00", (None,), ("name",), ("file", "kind")),
    *("/home/user/labels.ipynb", "get_label", 1, b"\x0a\x01", (), ()),
)


@pytest.mark.parametrize("by_keyword", [True, False])
def test_a_function_of_a_much_older_python_is_there_in_name_and_says_so_when_it_is_called(by_keyword: bool) -> None:
    described = describe_code(OF_PYTHON_310)
    assert (described.name, described.fits_here, described.pythons) == ("get_label", False, frozenset({bytecode.OLDER}))
    code = stand_in(OF_PYTHON_310, described.name, "Python 3.10 or older")
    function = types.FunctionType(code, {})
    function.__kwdefaults__ = {"kind": "a"}
    assert str(inspect.signature(function)) == "(file, *, kind='a')"
    with pytest.raises(BadLearner, match=r"'get_label' was compiled by Python 3\.10 or older"):
        function(Path("a"), kind="b") if by_keyword else function(Path("a"))


def test_calling_it_again_and_again_keeps_nothing() -> None:
    function = types.FunctionType(stand_in(OF_PYTHON_310, "get_label", "Python 3.10 or older"), {})
    errors = []
    for _ in range(2):
        with pytest.raises(BadLearner) as raised:
            function("a", kind="b")
        errors.append(raised.value)
    assert errors[0] is not errors[1]
