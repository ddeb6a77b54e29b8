"""Who is asking: a browser or a program."""

from fastapi import Request


def wants_html(request: Request) -> bool:
    """Whether the caller is a browser: a page and its JSON share an address."""
    return "text/html" in request.headers.get("accept", "")
