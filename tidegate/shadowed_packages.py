"""Whether Python finds Tidegate's own packages, and not somebody else's of the same name.

Tidegate's packages have everyday names, and Python takes the first that it finds: a `store.py` beside a notebook hides
Tidegate's `store`. The error that follows, from deep inside an import, would not say so.
"""

import os
from functools import cache
from importlib.util import find_spec

ROOMS = ("store", "monitor", "reports", "serving")


@cache
def check_shadowed_packages() -> None:
    """See where each of Tidegate's packages would be imported from, without importing it. Checked once a process.

    Raises:
        ImportError: another file or folder is found first; the message names it.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib takes longer
    for room in ROOMS:
        origin = _origin(room)
        if origin is None or _is_own(origin, room, home):
            continue
        folder, file = os.path.split(origin)
        kind, name = "file", file
        if file == "__init__.py":
            kind, (folder, name) = "folder", os.path.split(folder)
        raise ImportError(
            f"The folder {folder} has a {kind} {name}, which Python finds before Tidegate's own package `{room}`: "
            "rename it or start Python elsewhere.",
            name=room,
            path=origin,
        )


def _origin(room: str) -> str | None:
    """The file that a package is, or would be, imported from; None where it has none."""
    try:
        spec = find_spec(room)
    except ValueError:
        # Put among the imported modules by hand, as some tests do.
        return None
    return None if spec is None or not spec.has_location else spec.origin


def _is_own(origin: str, room: str, home: str) -> bool:
    own = os.path.join(home, room, "__init__.py")  # noqa: PTH118
    return origin == own or os.path.realpath(origin) == os.path.realpath(own)
