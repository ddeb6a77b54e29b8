"""The size of things: no file above 400 lines, no function above 60, none of our own with more than six parameters.

Past these, look for the seam: a file that needs "and" to be described is two files, and parameters that travel together are
a dataclass. Exceptions stand here, each with its reason.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("store", "monitor", "reports", "serving", "tidegate")
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60
MOST_PARAMETERS = 6

LONG_FUNCTIONS: dict[str, str] = {
    "tidegate/cli/serve.py:serve": "typer makes the options of a verb from its parameters",
}
MANY_PARAMETERS: dict[str, str] = {
    "monitor/reference/fit.py:fit_reference": "a public statistic",
    **{
        f"tidegate/cli/{verb}": "typer makes the options of a verb from its parameters"
        for verb in (
            "check.py:check",
            "monitor.py:monitor",
            "profile.py:profile",
            "serve.py:serve",
            "tune.py:tune",
        )
    },
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files() -> list[Path]:
    return sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))


def functions(file: Path) -> Iterator[tuple[str, Function]]:
    """Every function of a file with its name, such as `store/store.py:Store.open`."""

    def walk(node: ast.AST, path: tuple[str, ...]) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield f"{file.relative_to(ROOT)}:{'.'.join((*path, child.name))}", child
                yield from walk(child, (*path, child.name))
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, (*path, child.name))

    return walk(ast.parse(file.read_text(encoding="utf-8")), ())


def parameters(function: Function) -> int:
    """How many a caller has to know; `self` and `cls` are not among them."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


EVERY_FUNCTION = [pair for file in files() for pair in functions(file)]


def test_no_file_is_too_long_to_be_one_idea() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_too_long_to_be_seen_at_once() -> None:
    lengths = {name: (node.end_lineno or node.lineno) - node.lineno + 1 for name, node in EVERY_FUNCTION}
    long = {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION}
    assert {name: length for name, length in long.items() if name not in LONG_FUNCTIONS} == {}


def test_no_function_has_more_parameters_than_a_caller_keeps_in_mind() -> None:
    counts = {name: parameters(node) for name, node in EVERY_FUNCTION}
    many = {name: count for name, count in counts.items() if count > MOST_PARAMETERS}
    assert {name: count for name, count in many.items() if name not in MANY_PARAMETERS} == {}


@pytest.mark.parametrize("exceptions", [LONG_FUNCTIONS, MANY_PARAMETERS], ids=["length", "parameters"])
def test_every_exception_is_still_needed(exceptions: dict[str, str]) -> None:
    nodes = dict(EVERY_FUNCTION)
    for name in exceptions:
        assert name in nodes, f"{name} is gone: take it off the list"
        length = (nodes[name].end_lineno or 0) - nodes[name].lineno + 1
        limit = (
            (length, MOST_LINES_OF_A_FUNCTION)
            if exceptions is LONG_FUNCTIONS
            else (parameters(nodes[name]), MOST_PARAMETERS)
        )
        assert limit[0] > limit[1], f"{name} needs no exception any more"
