"""How Jupyter and IPython show what Tidegate returns. References draw no HTML themselves: their room has none."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.reference.profile import Reference


def register_html() -> None:
    """Have the running IPython show a reference as a table; nothing happens outside IPython."""
    # Never imported here: whoever runs in IPython has it.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return
    # By name, so that the class itself is imported no earlier than someone uses it.
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.for_type_by_name("monitor.reference.profile", "Reference", reference_html)


def reference_html(reference: "Reference") -> str:
    """The reference's summary as an HTML table."""
    from reports.reference_table import reference_table

    return reference_table(reference.summary())
