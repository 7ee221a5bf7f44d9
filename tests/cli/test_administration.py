"""Administration from another machine, over the SSL port: with certificate and password, and not without."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.home import Home
from qekm_cli.originals import STARTED

from .sites import PASSWORDS, Site, programs
from .terminal import typed


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a key manager that runs, and whose administrator has a command password."""
    folder = tmp_path_factory.mktemp("administration")
    site = Site(folder / "home", programs(folder / "bin"))
    site.make().start()
    try:
        yield site
    finally:
        site.end()


class Desk:
    """Another machine: a directory that was handed over, and no store."""

    def __init__(self, site: Site, role: str, name: str, folder: Path) -> None:
        words = ("--client-home", str(folder), "--reach", "localhost")
        self.told = site.qekm("certificates", "issue", role, name, *words)
        self.site, self.home = site, Home(folder)

    def run(self, program: str, *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program there, its password in a pipe if one is given."""
        more = ("--command-password-fd", "0") if password else ()
        return subprocess.run(
            [str(self.site.programs / program), *words, *more],
            input=password or None,
            stdin=None if password else subprocess.DEVNULL,
            env=self.site.environ | {"QEKM_HOME": str(self.home.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def type(self, program: str, *lines: str) -> tuple[int, str]:
        """Run a program there on a terminal."""
        environ = self.site.environ | {"QEKM_HOME": str(self.home.path)}
        return typed([str(self.site.programs / program)], list(lines), environ, only=True)


def test_an_operator_is_let_in_with_certificate_and_password_only(site: Site, tmp_path: Path) -> None:
    desk = Desk(site, "operator", "olga", tmp_path / "desk")
    assert f"localhost:{site.home.running('server').ports['ssl']}" in desk.told  # type: ignore[union-attr]
    assert not desk.home.store.exists()
    for words in (("drives", "list"), ("server", "status"), ("login",)):
        done = desk.run("qekm", *words, password="olgas own horse")
        assert (done.returncode, done.stdout) == (8, ""), (words, done.stderr)
        assert "has no command password, and without one nobody is let in from afar" in done.stderr
    new = site.folder / "olga"
    new.write_text("olgas own horse\n")
    site.qekm("accounts", "add", "olga", "--role", "operator", "--new-password-file", str(new))
    done = desk.run("qekm", "drives", "list")
    assert (done.returncode, "there is no terminal to ask on" in done.stderr) == (8, True)
    assert desk.run("qekm", "drives", "list", password="olgas other horse").returncode == 2
    assert desk.run("qekm", "drives", "list", password="olgas own horse").returncode == 0
    done = desk.run("qekm", "login", password="olgas own horse")
    assert done.stdout.startswith("operator/olga is logged in until "), done.stderr
    assert desk.run("qekm", "server", "status").stdout.startswith("service  running, ")
    for words in (("server", "stop"), ("config", "set", "debug=all"), ("accounts", "list")):
        assert desk.run("qekm", *words).returncode == 7, words
    assert desk.run("qekm", "logout").returncode == 0
    assert desk.run("qekm", "server", "status").returncode == 8


def test_an_administrator_does_everything_but_what_is_done_on_the_machine_itself(
    site: Site, tmp_path: Path
) -> None:
    new = site.folder / "ada"
    new.write_text("adas own horse\n")
    site.qekm("accounts", "add", "ada", "--role", "administrator", "--new-password-file", str(new))
    desk = Desk(site, "administrator", "ada", tmp_path / "desk")
    assert "a password is needed, too" not in desk.told
    done = desk.run("qekm", "login", password="adas own horse")
    assert done.returncode == 0, done.stderr
    assert desk.run("qekm", "config", "set", "debug=transport").stdout == "debug is transport now\n"
    assert desk.run("qekm", "config", "get", "debug").stdout == "transport\n"
    done = desk.run("qekm", "config", "set", "backup.command=/bin/sh")
    assert (done.returncode, "qekm-server config set" in done.stderr) == (6, True)
    assert desk.run("qekm", "config", "set", "twoPerson=off").returncode == 6
    done = desk.run("qekm", "server", "start")
    assert (done.returncode, "there is no key manager in" in done.stderr) == (6, True)
    code, screen = desk.type("statusQEKMServer", "adas own horse")
    assert (code, "Server is running. TCP port: " in screen) == (0, True), screen
    code, screen = desk.type("chgpwdQEKMServer", "adas new horse", "adas own horse")
    assert (code, "The command password was changed." in screen) == (0, True), screen
    assert desk.run("qekm", "keys", "list").returncode == 8  # the session ended with the password
    code, screen = desk.type("stopQEKMServer", "adas new horse")
    assert (code, "EKM Server was asked to stop." in screen) == (0, True), screen


def test_whoever_stops_it_by_a_signal_needs_no_password(site: Site) -> None:
    done = subprocess.run(
        [str(site.programs / "startQEKMServer")],
        env=site.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1] in (STARTED, "EKM Server is running already."), done.stderr
    words = [str(site.programs / "qekm"), "server", "stop"]
    done = subprocess.run(words, env=site.environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 8
    assert site.home.running("gateway") and site.home.running("server")
    words.append("--signal")
    done = subprocess.run(words, env=site.environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "gateway and service stopped\n")
    assert PASSWORDS["right"] not in site.home.stderr_log.read_text()
