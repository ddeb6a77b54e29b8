"""Which Pythons a function's bytecode is of. Running another's ends the process, mostly with a segmentation fault."""

import opcode
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OLDER = "3.10 or older"


@dataclass(frozen=True)
class Layout:
    """How one Python writes bytecode: pairs of instruction and argument, some followed by empty pairs as a cache.

    Attributes:
        caches: how many empty pairs follow an instruction, by its number; the keys are the instructions there are.
        resume: the instruction with which the body of every function begins.
        before_resume: those that may stand before it.
    """

    caches: Mapping[int, int]
    resume: int
    before_resume: frozenset[int]

    def fits(self, bytecode: bytes) -> bool:
        """Whether this is a whole function in this layout."""
        position, resumed = 0, False
        while position + 1 < len(bytecode):
            instruction = bytecode[position]
            count = self.caches.get(instruction)
            end = position + 2 + 2 * (count or 0)
            if count is None or any(bytecode[position + 2 : end]):
                return False
            if instruction == self.resume:
                resumed = True
            elif not resumed and instruction not in self.before_resume:
                return False
            position = end
        return resumed and position == len(bytecode)


# Instructions without a cache, and those with one by its size, from each Python's own `opcode` module.
_BY_PYTHON: dict[str, tuple[str, dict[int, tuple[int, ...]], int, tuple[int, ...]]] = {
    "3.11": (
        "0102090a0b0c0f1e1f20212324253132333435363d444546474a4b52535455565758595a5b5d5e606162636465666768696c6d6e6f7072"
        "73757677787b7c7d7e808182838485868788898a8b8c8e90919293949597989b9c9da2a3a4a5acadaeafb0",
        {1: (60, 92, 122, 166), 2: (107,), 4: (25, 95, 106, 171), 5: (116,), 10: (160,)},
        151,
        (135, 149, 75, 1),
    ),
    "3.12": (
        "0102030405090b0c0f111a1b1e1f2021232425313233343536373d4445474a4b535557595a5b5e606162636465666768696c6d6e727375"
        "767778797c7d7e7f808182838485868788898a8b8c8e8f90919293959697989b9c9da2a3a4a5acadaeafb0",
        {1: (25, 60, 92, 93, 107, 122, 123, 141), 3: (171,), 4: (95, 116), 9: (106,)},
        151,
        (135, 149, 75, 1),
    ),
    "3.13": (
        "010204060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526292a2b2c2e2f3031323334363738393c3d3e3f"
        "4041424344454647494a4b4c4e4f5051535455565758595a5c5e5f60656667696a6b6d6e6f70717273747695",
        {
            1: (5, 39, 45, 58, 59, 72, 77, 93, 97, 98, 99, 100, 104, 117),
            3: (40, 53),
            4: (91, 108),
            9: (82,),
        },
        149,
        (94, 62, 35, 32),
    ),
}


@cache
def known_layouts() -> dict[str, Layout]:
    """The layouts that can be told apart, by Python."""
    return {python: _layout(*row) for python, row in _BY_PYTHON.items()}


@cache
def layout_here() -> Layout:
    """The layout of the Python that runs."""
    sizes: Any = opcode._inline_cache_entries  # type: ignore[attr-defined]
    pseudo = set(getattr(opcode, "_pseudo_ops", ()))
    caches = {
        number: sizes.get(name, 0) if isinstance(sizes, dict) else sizes[number]
        for name, number in opcode.opmap.items()
        if number < 256 and name not in pseudo and name != "CACHE" and not name.startswith("INSTRUMENTED")
    }
    before = ("MAKE_CELL", "COPY_FREE_VARS", "RETURN_GENERATOR", "POP_TOP")
    return Layout(caches, opcode.opmap["RESUME"], frozenset(opcode.opmap[name] for name in before))


def fits_here(bytecode: bytes) -> bool:
    """Whether this Python can run it."""
    return layout_here().fits(bytecode)


def pythons_of(bytecode: bytes) -> frozenset[str]:
    """The known Pythons that write bytecode like this; several for the simplest functions, none for an unknown Python."""
    return frozenset(python for python, layout in known_layouts().items() if layout.fits(bytecode))


def _layout(plain: str, cached: dict[int, tuple[int, ...]], resume: int, before: tuple[int, ...]) -> Layout:
    caches = dict.fromkeys(bytes.fromhex(plain), 0)
    caches |= {instruction: size for size, instructions in cached.items() for instruction in instructions}
    return Layout(caches, resume, frozenset(before))
