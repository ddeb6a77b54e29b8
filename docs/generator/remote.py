"""Finds what a built site would fetch from elsewhere: `python -m docs.generator.remote site` exits with 1 if there is any.

The site is read offline and behind firewalls, and tells nobody who reads it.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# What a browser fetches by itself when it shows a page. A link that a person follows (`<a href>`) is not among it.
_FETCHED = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "input": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
_REMOTE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


def remote_in_html(text: str) -> list[str]:
    """Addresses that a browser would fetch from elsewhere to show this page."""
    reader = _Reader()
    reader.feed(text)
    return reader.found


def remote_in_css(text: str) -> list[str]:
    """Addresses that a style sheet takes fonts, images or further sheets from."""
    return _IN_STYLE.findall(text)


def remote_of_site(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every such address in a built site, with its file."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".html", ".svg"):
            yield from ((file, address) for address in remote_in_html(file.read_text(encoding="utf-8")))
        elif file.suffix == ".css":
            yield from ((file, address) for address in remote_in_css(file.read_text(encoding="utf-8")))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            if name in _FETCHED.get(tag, ()) and value and _REMOTE.match(value) and not _only_names(tag, attrs):
                self.found.append(value)
            if name == "style" and value:
                self.found += remote_in_css(value)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += remote_in_css(data)


def _only_names(tag: str, attrs: list[tuple[str, str | None]]) -> bool:
    # `<link rel="canonical">` and its like name a page; nothing is fetched.
    kinds = set((dict(attrs).get("rel") or "").split())
    return tag == "link" and bool(kinds) and kinds <= {"canonical", "author", "license", "next", "prev", "alternate"}


def main() -> int:
    """Say what was found; 0 if nothing."""
    folder = Path(sys.argv[1])
    pages = len(list(folder.rglob("*.html")))
    if not pages:
        print(f"{folder} holds no pages: build the site first, with `mkdocs build`.", file=sys.stderr)
        return 1
    found = list(remote_of_site(folder))
    for file, address in found:
        print(f"{file}: {address} would be fetched from elsewhere. Put a copy into docs/assets.", file=sys.stderr)
    print(f"{pages} pages in {folder}, {len(found)} remote addresses")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
