"""The manual pages: there for every command and every property, and nothing in them chokes a reader."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from deploy.manual.__main__ import write
from deploy.manual.roff import Page, escaped
from qekm.properties import PROPERTIES
from qekm_cli.app import NOUNS
from tests.pages import ROOT


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("man"), "2026-11-26")


def text(pages: list[Path], name: str) -> str:
    (page,) = (page for page in pages if page.name == name)
    return page.read_text().replace("\\-", "-").replace("\\:", "")


def test_every_program_and_every_noun_has_a_page(pages: list[Path]) -> None:
    programs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    wanted = {*programs, *(f"qekm-{noun}" for noun in NOUNS)}
    assert wanted <= {page.stem for page in pages}
    assert len({page.relative_to(page.parents[1]) for page in pages}) == len(pages)


def test_a_page_has_what_help_has(pages: list[Path]) -> None:
    keystore = text(pages, "qekm-keystore.1")
    assert "qekm keystore slots add password" in keystore
    assert "--shares-file FILE" in keystore
    assert "--key-file FILE" in text(pages, "qekm-server.8")
    assert "--tcp-port" in text(pages, "qekm-gateway.8")


def test_every_property_has_its_place(pages: list[Path]) -> None:
    page = text(pages, "KeyManagerConfig.properties.5")
    assert [name for name in PROPERTIES if name not in page] == []


def test_text_is_shown_as_it_is_whatever_is_in_it(tmp_path: Path) -> None:
    page = Page.begin("odd", 1, "odd things", "2026-11-26")
    page.head("DESCRIPTION")
    odd = r".SH it's a `trap' \fB … — -- é"
    page.text(odd)
    file = tmp_path / "odd.1"
    file.write_text(page.dump(), encoding="ascii")
    if shutil.which("mandoc"):
        shown = subprocess.run(
            ["mandoc", "-T", "utf8", str(file)], capture_output=True, text=True, check=True
        )
        assert odd in shown.stdout.replace("\x08", "")
    assert escaped(".x").startswith("\\&")


def test_mandoc_finds_nothing_to_say(pages: list[Path]) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    command = ["mandoc", "-T", "lint", "-W", "warning", *map(str, pages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_man_finds_nothing_to_say(pages: list[Path]) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    command = ["groff", "-ww", "-b", "-k", "-man", "-T", "utf8", *map(str, pages)]
    environ = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)
    assert (done.returncode, done.stderr) == (0, "")


def test_mandoc_has_something_to_say_of_a_page_that_is_wrong(tmp_path: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    wrong = tmp_path / "wrong.1"
    wrong.write_text(".SH NAME\nno title\n")
    command = ["mandoc", "-T", "lint", "-W", "warning", str(wrong)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0
