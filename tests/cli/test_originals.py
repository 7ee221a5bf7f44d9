"""The original's commands: transcripts (originals.txt) of real processes, on a terminal and in pipes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.estate import Estate
from qekm.interchange import jceks
from qekm.offline import commit
from qekm.secret import Secret
from qekm.store import Store
from qekm.unlocking import Means, sealer_of, unlock
from tests.ordinary import NOBODY, ordinary, privileged_port, python_as_ordinary
from tests.pages import ROOT
from tests.ports import free_port
from tests.system.processes import environment

from . import transcripts
from .sites import KEEPING, PASSWORDS, Site, names, programs
from .transcripts import Stage, Transcript

CHAPTERS = transcripts.read(Path(__file__).with_name("originals.txt"))
ALIAS = "KEY000000000000000001"


def with_a_partner(site: Site) -> None:
    """Give a key manager a partner, a Java keystore to import, and then a second person."""
    words = "req -x509 -newkey rsa:3072 -nodes -subj /CN=acme -days 10 -keyout acme.key -out acme.pem"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True, cwd=site.folder)
    digest = subprocess.run(
        ["openssl", "x509", "-in", "acme.pem", "-noout", "-fingerprint", "-sha256"],
        check=True,
        capture_output=True,
        text=True,
        cwd=site.folder,
    ).stdout.partition("=")[2]
    pem = str(site.folder / "acme.pem")
    site.qekm("certificates", "import", pem, "--name", "acme", "--fingerprint", digest.strip())
    site.qekm("certificates", "issue", "custodian", "bob", "--out", str(site.home.pki))
    key = jceks.SecretKey(ALIAS, 1_700_000_000_000, "AES", Secret(os.urandom(32)))
    password = Secret(PASSWORDS["store"].encode())
    (site.folder / "old.jck").write_bytes(jceks.write([key], password, iterations=20))


def locked(site: Site) -> None:
    """Leave the administrator's account as ten wrong passwords leave it."""
    settings = Settings.load(site.home.config)
    store = Store.open(site.home.store, unlock(sealer_of(site.home, settings, Means())))
    try:
        found = store.load()
        (account,) = found.accounts
        estate = Estate.load(found.vaults, found.settings, store.ring)
        until_us = now_us() + 900_000_000
        commit(store, estate, [replace(account, wrong=10, locked_until_us=until_us)])
    finally:
        store.close()


@pytest.fixture(scope="module")
def bin_(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the commands as they are installed."""
    return programs(tmp_path_factory.mktemp("originals") / "bin")


@pytest.fixture
def site(tmp_path: Path, bin_: Path) -> Iterator[Site]:
    """Give a directory for a key manager, whose processes are ended after the test."""
    site = Site(tmp_path / "home", bin_)
    try:
        yield site
    finally:
        site.end()


@pytest.fixture
def ports() -> Iterator[dict[str, str]]:
    """Give two ports that nobody has and one that somebody has."""
    found = {name: free_port() for name in ("free", "other", "taken")}
    with (
        socket.create_server(("127.0.0.1", found["taken"])),
        socket.create_server(("::", found["taken"]), family=socket.AF_INET6),
    ):
        yield {name: str(port) for name, port in found.items()}


def play(site: Site, chapter: str, words: dict[str, str], how: Callable[[Stage, Transcript], None]) -> None:
    """Play a chapter in order."""
    known = site.stage(**words).words
    for transcript in CHAPTERS[chapter]:
        if transcript.deed:
            getattr(site, transcript.deed)()
            continue
        stage = site.stage(**words)
        # Ports as they were when the chapter began, unless nothing ran then.
        fixed = {name: known[name] for name in ("tcp", "ssl") if known[name] != "0"}
        how(replace(stage, words={**stage.words, **fixed}), transcript)


def test_a_server_that_runs(site: Site, ports: dict[str, str]) -> None:
    site.make().start()
    site.qekm("drives", "add", "1300000392")
    site.qekm("drives", "add", "1310000363")
    play(site, "running", ports, Stage.on_terminal)
    play(site, "piped", ports, Stage.through_pipe)


def test_keys_that_come_in_and_go_out(site: Site) -> None:
    (site.folder / "keystore").write_text(PASSWORDS["keystore"] + "\n")
    site.make(means=Means(password_file=site.folder / "keystore")).start()
    with_a_partner(site)
    play(site, "exchange", {"jceks": str(site.folder / "old.jck")}, Stage.on_terminal)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Give a directory of an ordinary user's, outside of those that are the tester's alone."""
    folder = Path(tempfile.mkdtemp(prefix="qekm-originals-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def python_of_anybody(path: str) -> str:
    """Return a Python that an ordinary user can start programs with; skips where there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        command = [*ordinary(), "/bin/sh", "-c", f"exec {python} -c 'import qekm.server, qekm_cli.originals'"]
        if not subprocess.run(command, env=environment(PYTHONPATH=path), check=False).returncode:
            return python
    pytest.skip("no Python here is one that an ordinary user can start")


def test_an_ordinary_user_administers_it(elsewhere: Path, ports: dict[str, str]) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    bin_ = programs(elsewhere / "bin", python_of_anybody(path))
    site = Site(elsewhere / "home", bin_, ordinary(), PYTHONPATH=path)
    unreadable = elsewhere / "unreadable"
    unreadable.write_text(PASSWORDS["right"])
    unreadable.chmod(0)
    told = f"import os; print(os.access({str(unreadable)!r}, os.R_OK))"
    assert python_as_ordinary(told) == "False\n"
    (elsewhere / "password").chmod(0o644)
    words = [word for name, value in KEEPING.items() for word in ("--property", f"{name}={value}")]
    try:
        site.qekm("init", "--keys", "2", "--no-password", "--no-shares", *words)
        known = {"unreadable": str(unreadable), "privileged": str(privileged_port())}
        play(site, "ordinary", {**ports, **known}, Stage.on_terminal)
        assert not site.home.running("server")
    finally:
        site.end()


def test_a_server_that_is_stopped_and_started(site: Site, ports: dict[str, str]) -> None:
    site.make()
    play(site, "stopped", ports, Stage.on_terminal)


def test_a_key_manager_without_a_command_password(site: Site) -> None:
    site.make(command_password=None).start()
    play(site, "open", {}, Stage.on_terminal)


def test_an_account_that_is_locked(site: Site) -> None:
    locked(site.make())
    site.start()
    play(site, "locked", {}, Stage.on_terminal)
    assert site.home.running("gateway")  # whoever may not stop it has stopped nothing


def test_a_keystore_that_a_password_opens(site: Site) -> None:
    (site.folder / "keystore").write_text(PASSWORDS["keystore"] + "\n")
    site.make(means=Means(password_file=site.folder / "keystore"), key_file=False)
    play(site, "sealed", {}, Stage.on_terminal)


def test_a_directory_without_a_key_manager(site: Site) -> None:
    site.home.path.mkdir()
    play(site, "nowhere", {}, Stage.on_terminal)


def test_every_command_is_installed_under_its_name() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {name for name, place in scripts.items() if place == "qekm_cli.originals:main"} == set(names())
    played = {each.command for chapter in CHAPTERS.values() for each in chapter}
    assert set(names()) <= played
