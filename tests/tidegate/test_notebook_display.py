"""What a notebook shows for what Tidegate returns."""

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.reference.profile import Reference
from tidegate.notebook_display import reference_html


def test_a_reference_is_shown_as_the_table_of_its_summary(reference: Reference) -> None:
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in reference.summary())
    assert reference_html(reference) == f"<table>{rows}</table>"


# A shell of its own: `tidegate` must register there without being told to.
NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_cell("from tidegate import Reference")
shell.run_cell(f"reference = Reference.load({sys.argv[1]!r})")
shown = shell.display_formatter.format(shell.user_ns["reference"])[0]
print(shown["text/html"])
print(shown["text/plain"])
"""


def test_a_notebook_shows_a_reference_by_its_public_name_alone(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("IPython")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    path = reference.save(tmp_path / "a.reference")
    command = [sys.executable, "-c", NOTEBOOK, str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # What a bare last line and `display` keep of it: a small table, and one line for terminals.
    assert shown.splitlines() == [reference_html(reference), repr(reference)]
