"""A reference as a small table, for notebooks."""

from collections.abc import Iterable
from html import escape


def reference_table(lines: Iterable[tuple[str, str]]) -> str:
    """HTML of a table with one row for each pair of name and value."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines)
    return f"<table>{rows}</table>"
