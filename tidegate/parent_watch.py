"""Processes that end with the one that started them."""

import sys
import threading
from collections.abc import Callable


def call_when_parent_ends(callback: Callable[[], object]) -> None:
    """Call something once the parent is gone: standard input is a pipe from it, which closes when it ends."""

    def wait() -> None:
        sys.stdin.buffer.read()
        callback()

    threading.Thread(target=wait, daemon=True).start()
