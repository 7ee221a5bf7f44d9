"""The site: built without a network, every link of it leads somewhere, and nothing of it is fetched."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.pages import ROOT

FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page of the site links to, what it fetches, and what in it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        is_page = found.get("rel") in ("canonical", "next", "prev", "edit")
        if tag in FETCHED and FETCHED[tag] in found and not is_page:
            self.fetched.append(found[FETCHED[tag]])


def pages_of(site: Path) -> dict[Path, Page]:
    """Return every page of a site, by its place."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def dead(site: Path, pages: dict[Path, Page]) -> list[tuple[str, str]]:
    """Return page and link of every link within the site, and of all that is fetched, that leads nowhere."""
    found = []
    for path, page in pages.items():
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            base = site if parts.path.startswith("/") else path.parent  # only the page of a lost visitor does
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.exists() or (target in pages and anchor not in pages[target].anchors):
                found.append((path.name, link))
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, built as `make site` does: a warning is a failure."""
    place = tmp_path_factory.mktemp("site").resolve()
    command = [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--quiet", "--site-dir", place]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False, env=environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_every_link_of_the_site_leads_somewhere_and_nothing_comes_from_elsewhere(site: Path) -> None:
    pages = pages_of(site)
    assert len(pages) > 40
    assert (site / "index.html") in pages
    assert dead(site, pages) == []
    elsewhere = {(path.name, each) for path, page in pages.items() for each in page.fetched if "//" in each}
    assert elsewhere == set()


def test_a_dead_link_and_a_dead_anchor_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<h1 id="x">x</h1><a href="b.html">b</a><a href="a.html#y">y</a>')
    (tmp_path / "c.html").write_text('<a href="a.html#x">x</a><img src="d.png"><a href="https://e/f">g</a>')
    assert dead(tmp_path, pages_of(tmp_path)) == [
        ("a.html", "b.html"),
        ("a.html", "a.html#y"),
        ("c.html", "d.png"),
    ]
