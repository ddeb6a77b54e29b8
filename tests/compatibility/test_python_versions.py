"""The table of what crosses Pythons is whole, and a Python that is not here is skipped with the reason."""

from itertools import product
from pathlib import Path

from tests.compatibility.other_pythons.load import Outcome
from tests.compatibility.python_versions import PAGE, PYTHONS, find, in_words, read_table, set_up, table


def test_the_page_tells_of_every_pair_of_pythons_for_every_kind_of_export() -> None:
    cells = read_table(PAGE.read_text(encoding="utf-8"))
    kinds = {kind for kind, _, _ in cells}
    assert len(kinds) == 9
    assert set(cells) == set(product(kinds, PYTHONS, PYTHONS))
    assert {cells[key] for key in cells} == {"served", "refused"}
    assert {cells[kind, python, python] for kind in kinds for python in PYTHONS} == {"served"}


def test_a_table_is_read_as_it_was_written() -> None:
    cells = {("lambda_labels", "3.11", "3.12"): "served", ("texts", "3.11", "3.12"): "ends the process (-11)"}
    assert read_table(f"<!-- pythons: table -->\n{table(cells)}<!-- pythons: end -->") == cells


def test_a_process_that_was_ended_is_no_refusal() -> None:
    export = Path("export.pkl")
    assert in_words(Outcome(export, refused="why")) == "refused"
    assert in_words(Outcome(export, ended=-11)) == "ends the process (-11)"


def test_a_python_that_is_not_here_is_skipped_with_the_reason() -> None:
    assert find("3.99") is None
    assert set_up("3.99") == (None, "there is no python3.99 on the path or among pyenv's")
