"""A library's function as the library installed here has it.

Exports keep some functions of fastai and fasttransform as bytecode (every learner of pictures keeps `PILBase.create`), and
the bytecode of another Python can't run. The function is the library's, so its source is here as well.
"""

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\](.+)\.py$")
# Places of the arguments of `types.CodeType`.
_COUNTS, _NAMES, _VARIABLES, _FILE, _QUALIFIED_NAME, _LINE, _FREE = slice(0, 3), 8, 9, 10, 12, 13, 16


def code_of_library(arguments: tuple[Any, ...]) -> CodeType | None:
    """The code here of the function that these arguments of `types.CodeType` make elsewhere; None if there is no such.

    It takes the same parameters and asks for no name that the pickled one does not bring.
    """
    found = _INSTALLED.search(arguments[_FILE])
    if found is None:
        return None
    counts = arguments[_COUNTS]
    parameters = arguments[_VARIABLES][: counts[0] + counts[2]]
    candidates = [
        code
        for code in _codes(re.sub(r"[/\\]", ".", found[1]).removesuffix(".__init__"))
        if code.co_qualname == arguments[_QUALIFIED_NAME]
        and (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount) == tuple(counts)
        and code.co_varnames[: len(parameters)] == tuple(parameters)
        and code.co_freevars == tuple(arguments[_FREE])
        and set(code.co_names) <= set(arguments[_NAMES])
    ]
    return min(candidates, key=lambda code: abs(code.co_firstlineno - arguments[_LINE]), default=None)


@cache
def _codes(module: str) -> tuple[CodeType, ...]:
    """Every function of an installed module, compiled from its source."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ()
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ()
    source = Path(spec.origin).read_bytes()
    return tuple(_walk(compile(source, spec.origin, "exec", dont_inherit=True)))


def _walk(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _walk(constant)
