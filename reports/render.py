"""Templates to HTML. Everything is escaped but what a section or a chart has drawn."""

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from monitor import checks
from monitor.alerts.message import system_alert_title

HERE = Path(__file__).parent
STATIC = HERE / "static"


def page(template: str, *, inline_style: bool = False, site: bool = True, here: str = "", **values: Any) -> str:
    """Draw a page.

    Args:
        template: its file's name.
        inline_style: carry the style inside, for pages that open offline.
        site: with the gateway's navigation.
        here: the address of this page, to mark it there.
    """
    style = _style() if inline_style else ""
    return (
        _environment()
        .get_template(template)
        .render(inline_style=inline_style, style=style, site=site, here=here, **values)
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["instant"] = _instant
    environment.filters["probability"] = _probability
    environment.filters["check_title"] = checks.title
    environment.filters["system_alert_title"] = system_alert_title
    return environment


@cache
def _style() -> str:
    # Safe inside <style> as it is ours and holds no closing tag.
    return Markup((STATIC / "tidegate.css").read_text(encoding="utf-8"))


def _instant(value: datetime | str) -> str:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.strftime("%d %b %Y, %H:%M:%S")


def _probability(p_value: float) -> str:
    return f"= {p_value:.2g}" if p_value >= 1e-4 else "< 0.0001"
