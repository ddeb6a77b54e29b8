"""MkDocs calls these: they put the generated parts into their pages, and pages from outside `docs/` into the site."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

from docs.generator.reference import PARTS

ROOT = Path(__file__).parents[2]
# Pages that live elsewhere in the repository, by their place in the site.
OUTSIDE = {
    "changelog.md": ROOT / "CHANGELOG.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "security.md": ROOT / "SECURITY.md",
    "conduct.md": ROOT / "CODE_OF_CONDUCT.md",
    **{f"measured/{file.name}": file for file in sorted((ROOT / "bench" / "results").glob("*.md"))},
}
_GENERATED = re.compile(r"<!-- generated: ([a-z ]+) -->")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """List every table of measurements in the menu."""
    (section,) = [entry for entry in config.nav if "Measurements" in entry]
    section["Measurements"] = [place for place in OUTSIDE if place.startswith("measured/")]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside."""
    for place, file in OUTSIDE.items():
        files.append(File.generated(config, place, content=file.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the generated parts, and turn links into the repository into links within the site."""
    filled = _GENERATED.sub(lambda found: PARTS[found[1]](), markdown)
    return _LINK.sub(lambda found: _link(found, page.file.src_uri), filled)


def _link(found: re.Match[str], page: str) -> str:
    words, target, anchor = found[1], found[2], found[3] or ""
    source = OUTSIDE.get(page, ROOT / "docs" / page)
    meant = (source.parent / target).resolve()
    place = _in_site(meant)
    if place is None:
        # The site does not have it: what it is called has to do.
        return words if words.startswith("`") else f"{words} (`{meant.relative_to(ROOT)}` in the repository)"
    return f"[{words}]({os.path.relpath(place, PurePosixPath(page).parent)}{anchor})"


def _in_site(meant: Path) -> str | None:
    for place, file in OUTSIDE.items():
        if meant == file:
            return place
    docs = ROOT / "docs"
    if meant == ROOT / "README.md":
        return "index.md"
    # A link to nothing stays, and the strict build names it.
    return str(meant.relative_to(docs)) if meant.is_relative_to(docs) or not meant.exists() else None
