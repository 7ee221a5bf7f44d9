"""Hooks of mkdocs: the site has the places of the repository, so that a link is right in both.

Pages outside docs/ are put into it, files that pages link to are put beside them, and a link to a directory
leads to its list.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "deploy/README.md")
BESIDE = ("deploy/prometheus/*.yml", "deploy/grafana/*.json", "docs/examples/*", "proto/qekm/v1/*.proto")
MORE = ("tests/cli/originals.txt",)
DECISIONS = "docs/decisions/index.md"
LISTS = {"docs/decisions": DECISIONS, "proto/qekm/v1": "docs/api.md"}
"""Directories that pages link to, and the page that is meant."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return all files of the site, where the repository has them."""
    docs = [
        each.src_uri
        for each in files
        if not each.src_uri.startswith("examples/") and each.inclusion.is_included()
    ]
    own = [f"docs/{uri}" for uri in docs if (ROOT / "docs" / uri).exists()]
    beside = [path.relative_to(ROOT).as_posix() for pattern in BESIDE for path in sorted(ROOT.glob(pattern))]
    theirs = [each for each in files if not (ROOT / "docs" / each.src_uri).exists()]
    made = [
        File.generated(config, uri, abs_src_path=str(ROOT / uri)) for uri in [*PAGES, *own, *beside, *MORE]
    ]
    return Files([*theirs, *made, File.generated(config, DECISIONS, content=_decisions())])


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page whose links to directories lead to pages."""
    depth = page.file.src_uri.count("/")
    for directory, target in LISTS.items():
        for form in (directory, directory.removeprefix("docs/")):
            up = "../" * depth
            markdown = markdown.replace(f"]({up}{form})", f"]({up}{target})")
            markdown = markdown.replace(f"]({form})", f"]({up}{target})")
    return markdown


def _decisions() -> str:
    """Return the list of decisions: what each page calls itself."""
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    titles = [(page.name, page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")) for page in pages]
    lines = [f"* [{title}]({name})" for name, title in titles]
    return "\n".join(["# Decisions", "", "Why things are as they are.", "", *lines, ""])
