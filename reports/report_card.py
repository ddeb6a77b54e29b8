"""A drift report as a small card, for notebooks: the verdict, its cause and what each check found."""

from html import escape
from typing import Any

_COLOURS = {"ok": "#2b8a3e", "shifted": "#c92a2a", "failed": "#c92a2a"}
_QUIET = "#5b6b78"
# A check without a verdict says nothing in a card.
_SHOWN = ("ok", "shifted", "failed")


def report_card(document: dict[str, Any]) -> str:
    """HTML of a few kilobytes, with its own colours and no style sheet.

    Args:
        document: of the report.
    """
    colour = _COLOURS.get(document["verdict"], _QUIET)
    rows = "".join(_row(check) for check in document["checks"] if check["verdict"] in _SHOWN)
    table = f"<table>{rows}</table>" if rows else ""
    return (
        f'<div style="border-left:5px solid {colour};padding:2px 0 2px 16px">'
        f"<div style='opacity:.7'>Drift report · {escape(document['model']['name'])}</div>"
        f"<div style='font-size:1.4em;font-weight:700'>{escape(document['headline'])}</div>"
        f"<p>{escape(document['summary'])}</p>"
        f"<p style='opacity:.7'>{document['count']:,} predictions · {document['flagged']:,} flagged</p>"
        f"{table}"
        "<p style='opacity:.7'>The whole report, with its pictures: <code>.save(\"report.html\")</code></p></div>"
    )


def _row(check: dict[str, Any]) -> str:
    colour = _COLOURS[check["verdict"]]
    return (
        f'<tr><th style="text-align:left;vertical-align:top">{escape(check["title"])}</th>'
        f'<td style="vertical-align:top;color:{colour}">{escape(check["verdict"])}</td>'
        f'<td style="text-align:left">{escape(check["sentence"])}</td></tr>'
    )
