"""Code in place of a function that this Python can't run: it says so when it is called.

Functions that make labels are in most exports and in the way of no answer, so a learner is loaded without them; one that
is needed for an answer is called, and refused, when the learner is first run.
"""

import inspect
from types import CodeType
from typing import Any

from serving.learner.export.bytecode import HERE
from store.errors import BadLearner

_KEPT_FLAGS = inspect.CO_OPTIMIZED | inspect.CO_NEWLOCALS | inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
# Places of the arguments of `types.CodeType`; those after the file's name differ with the Python.
_FLAGS, _VARIABLES, _FILE, _NAME, _FREE = 5, 9, 10, 11, -2
_THE_ERROR = "the error"
# How to go on, whichever Python made the export.
REMEDY = (
    "Use the Python that made it, or put labels, getters, transforms and models of your own into a module, export the "
    "learner again, and name the module with `--import MODULE`."
)


def stand_in(arguments: tuple[Any, ...], name: str, python: str) -> CodeType:
    """Code for a function of this name and these parameters that raises `BadLearner` when it runs.

    Args:
        arguments: of `types.CodeType`, as a pickle has them.
        name: the function.
        python: what made it, in words.
    """
    message = (
        f"The learner's function {name!r} was compiled by {python}, and this is Python {HERE}, which can't run it: an export "
        f"keeps lambdas, and functions of notebooks and scripts, as bytecode. {REMEDY}"
    )
    positional, _, keyword_only = arguments[:3]
    flags = arguments[_FLAGS] & _KEPT_FLAGS
    count = positional + keyword_only + bool(flags & inspect.CO_VARARGS) + bool(flags & inspect.CO_VARKEYWORDS)
    # A class, so that each call raises an error of its own: one error raised again and again would keep every frame.
    error = type("BadLearner", (BadLearner,), {"__init__": lambda self: BadLearner.__init__(self, message)})
    return _raise.__code__.replace(
        co_argcount=positional,
        co_posonlyargcount=arguments[1],
        co_kwonlyargcount=keyword_only,
        co_nlocals=count,
        co_varnames=tuple(arguments[_VARIABLES][:count]),
        co_freevars=tuple(arguments[_FREE]),
        co_flags=flags,
        co_consts=tuple(error if constant == _THE_ERROR else constant for constant in _raise.__code__.co_consts),
        co_filename=arguments[_FILE],
        co_name=arguments[_NAME],
        co_qualname=name,
    )


def _raise() -> None:
    raise "the error"  # type: ignore[misc]  # noqa: B016 - a constant, in whose place the error is put
