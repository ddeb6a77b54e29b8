"""The table that shows a reference in a notebook."""

from reports.reference_table import reference_table


def test_each_pair_is_a_row_and_names_of_learners_are_no_html() -> None:
    assert reference_table([("learner", "<b>digits</b>"), ("classes", "10")]) == (
        "<table><tr><th>learner</th><td>&lt;b&gt;digits&lt;/b&gt;</td></tr><tr><th>classes</th><td>10</td></tr></table>"
    )
