"""A report of a real site, as an auditor gets it: in a browser, on paper, its numbers compared."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qekm.errors import NotAllowed
from qekm.v1.audit_pb2 import ListRecordsRequest
from qekm.v1.groups_pb2 import ON_EXHAUSTION_REFUSE as REFUSE
from qekm.v1.groups_pb2 import CreateGroupRequest, Group
from qekm.v1.keystore_pb2 import CompromiseKeysRequest, GenerateKeysRequest
from tests.cli.report.test_webpage import Page
from tests.system.browsing import CHROMIUM, DARK, browse
from tests.system.exchanging import SERIAL, Place, place

SCRIPT = "<script>document.title='owned'</script>"
VOLSER = "<b>A&B'L8"
LIGHT_BAR, DARK_BAR = (0x00, 0x72, 0xB2), (0x56, 0xB4, 0xE9)

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
needs_poppler = pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext (poppler-utils)")


class Trap:
    """A web server that counts who comes."""

    def __init__(self) -> None:
        hits = self.hits = list[str]()

        class Counting(BaseHTTPRequestHandler):
            """Answers nothing."""

            def do_GET(self) -> None:
                """Count a visit."""
                hits.append(self.path)
                self.send_error(404)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Counting)
        self.lure = f"<img/src=http://127.0.0.1:{self.server.server_port}/x>"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@dataclass
class Reported:
    """A site where things happened, and its reports."""

    site: Place
    trap: Trap
    folder: Path
    document: Any

    @property
    def page(self) -> Path:
        """The report as HTML."""
        return self.folder / "report.html"

    @property
    def facts(self) -> dict[str, str]:
        """What the page says in its lists of facts."""
        text = self.page.read_text()
        return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reported]:
    """Have drives write two cartridges and read one of them three times, then make the reports."""
    folder, trap = tmp_path_factory.mktemp("report"), Trap()
    with place(folder, "site") as site:
        make_groups(site, SCRIPT, trap.lure)
        cartridge, key = site.write("E01001L8", b"one")
        site.write(VOLSER, b"two")
        for _ in range(3):
            assert site.read(cartridge) == b"one"
        act(site, key.alias, f"{SCRIPT} {trap.lure} \U0001f512")
        for kind in ("html", "pdf"):
            site.qekm("report", "--output", folder / f"report.{kind}")
        document = json.loads(site.qekm("report", "--format", "json").stdout)
        yield Reported(site, trap, folder, document)
    trap.server.shutdown()


def make_groups(site: Place, *names: str) -> None:
    """Make groups of two keys each."""
    with site.estate.client() as client:
        site.estate.unlock(client)
        for name in names:
            client.groups.CreateGroup(CreateGroupRequest(group=Group(name=name, on_exhaustion=REFUSE)))
            list(client.keystore.GenerateKeys(GenerateKeysRequest(count=2, group=name)))


def act(site: Place, alias: str, reason: str) -> None:
    """Compromise a key, and have a custodian ask for what he may not see."""
    with site.estate.client() as client, site.estate.client("bob") as bob:
        client.keystore.CompromiseKeys(CompromiseKeysRequest(aliases=[alias], reason=reason))
        with pytest.raises(NotAllowed):
            bob.audit.ListRecords(ListRecordsRequest())


def test_the_numbers_are_what_the_site_did(reported: Reported) -> None:
    told = reported.document
    sums = {
        name: sum(each[name] for each in told["serving"]) for name in ("created", "read", "clear", "refused")
    }
    assert sums == {"created": 2, "read": 3, "clear": 0, "refused": 0}
    assert {each["group"]: sum(c["count"] for c in each["counts"]) for each in told["keys"]["groups"]} == {
        **{"default": 8, SCRIPT: 2},
        reported.trap.lure: 2,
    }
    assert [(each["cartridges"], each["keys"]) for each in told["cartridges"]["spread"]] == [(1, 2)]
    assert [(each["drive"]["serial"], each["created"], each["read"]) for each in told["drives"]] == [
        (SERIAL, 2, 3)
    ]
    assert [each["event"] for each in told["endings"]["records"]] == ["rpc.CompromiseKeys"]
    assert {each["name"]: each["count"] for each in told["failing_actors"]} == {"custodian/bob": 1}
    assert told["trail"]["verdict"]["intact"]
    made = [each for each in told["events"] if each["event"] == "rpc.GetReport"]
    assert [each["count"] for each in made] == [2], "the two that were made before"


def test_the_page_and_the_paper_say_the_same_numbers(reported: Reported) -> None:
    facts = reported.facts
    wanted = {
        "New keys given, to write with": "2",
        "Keys given, to read with": "3",
        "Requests refused": "0",
        "Keys in all": "12",
        "Compromised": "1",
        "Different cartridges": "2",
        "Keys that are on none yet": "10",
        "Accepted drives": "1",
        "Calls refused for who made them": "1",
        "Two-person rule": "on: a second person approves",
        "Verdict": "intact",
    }
    assert {name: facts[name] for name in wanted} == wanted
    assert facts["Anchor (SHA-256 that drives know)"] == reported.document["server"]["anchor"]


@needs_poppler
def test_the_paper_has_them_too(reported: Reported) -> None:
    words = ["pdftotext", "-layout", str(reported.folder / "report.pdf"), "-"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for name, value in reported.facts.items():
        if (
            len(name) < 40
            and len(value) < 40
            and "head" not in name.lower()
            and "records" not in name.lower()
        ):
            assert re.search(rf"{re.escape(name)}\s+{re.escape(value)}", text) or name.startswith(
                "First and"
            ), name
    assert SCRIPT in text


@needs_chromium
def test_a_browser_shows_it_complains_of_nothing_and_asks_nobody(reported: Reported) -> None:
    seen = browse(reported.page, reported.folder / "light")
    assert seen.complaints == []
    assert reported.trap.hits == []
    assert "<title>Report of the key manager server</title>" in seen.dom
    assert "owned" not in re.findall("<title>(.*?)</title>", seen.dom)[0]
    assert Page(seen.dom.encode()).elements == Page(reported.page.read_bytes()).elements
    bars, ground = pixels(seen.picture, LIGHT_BAR)
    assert bars > 3_000
    assert ground > 200
    assert seen.print.read_bytes().startswith(b"%PDF")
    assert seen.print.stat().st_size > 20_000
    dark = browse(reported.page, reported.folder / "dark", DARK)
    bars, ground = pixels(dark.picture, DARK_BAR)
    assert bars > 3_000
    assert ground < 60
    assert pixels(dark.picture, LIGHT_BAR)[0] == 0


@needs_chromium
def test_a_page_that_takes_names_as_they_come_is_caught(reported: Reported, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        f"{reported.trap.lure}{SCRIPT}<script>console.error('heard')</script>"
    )
    seen = browse(tmp_path / "page.html", tmp_path / "browser")
    assert reported.trap.hits == ["/x"]
    assert any("heard" in each for each in seen.complaints)
    assert "<title>owned</title>" in seen.dom
    assert pixels(seen.picture, LIGHT_BAR)[0] == 0


def pixels(picture: Path, colour: tuple[int, int, int]) -> tuple[int, float]:
    """Return how many pixels of a picture have a colour, and how bright it is, from 0 to 255."""
    with Image.open(picture) as image:
        found = image.convert("RGB")
        count = sum(number for number, each in found.getcolors(1 << 24) or [] if each == colour)
        grey = found.convert("L").histogram()
        return count, sum(level * number for level, number in enumerate(grey)) / sum(grey)


def test_an_operator_is_told_that_the_role_may_not_and_no_file_is_made(reported: Reported) -> None:
    site = reported.site
    site.qekm("certificates", "issue", "operator", "olga", "--out", site.estate.home.pki)
    done = site.qekm("report", "--identity", "olga", "--output", reported.folder / "olga.html", code=7)
    assert "operator" in done.stderr
    assert not (reported.folder / "olga.html").exists()
