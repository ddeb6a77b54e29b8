"""Processes that end with the one that started them."""

import sys
import threading
from collections.abc import Callable


def when_parent_ends(then: Callable[[], object]) -> None:
    """Do something once the parent is gone: the pipe from it gives nothing until it closes."""

    def wait() -> None:
        sys.stdin.buffer.read()
        then()

    threading.Thread(target=wait, daemon=True).start()
