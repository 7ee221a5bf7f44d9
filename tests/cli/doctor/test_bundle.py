"""The bundle for support: what helps is in it, and nothing secret in any form, whatever the home holds."""

from __future__ import annotations

import gzip
import io
import json
import re
import secrets
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from qekm.client import connect
from qekm.clock import now_us
from qekm.configuration.settings import amend
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.secret import Secret
from qekm.v1.server_pb2 import GetStatusRequest
from qekm_cli.app import run
from qekm_cli.doctor import masking, tails
from qekm_cli.doctor.packing import archive, pack
from tests.cli.doctor.rig import examine
from tests.cli.sites import KEEPING, programs
from tests.faults.canary import Canaries, parts_of
from tests.faults.test_canary import inner_secrets
from tests.system.processes import Estate, environment
from tests.waiting import wait_for

VOLSER, SERIAL = "QX4711L5", "001300000392"


class Site:
    """A key manager whose every secret is known, and the command that packs a bundle of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.estate = folder, Estate(folder / "home")
        self.home: Home = self.estate.home
        self.bin = programs(folder / "bin")
        self.known: dict[str, bytes] = {}

    def secret(self, name: str) -> str:
        """Make a secret, and know it."""
        made = secrets.token_urlsafe(18)
        self.known[name] = made.encode()
        return made

    def make(self) -> Site:
        """Make the key manager, with all that a careless administrator writes into its files."""
        password = self.secret("command password").encode()
        wanted = Wanted(keys=3, shares=(2, 3), properties=KEEPING, command_password=Secret(password))
        made = make(self.home, wanted, now_us)
        for number, share in enumerate(made.mnemonics):
            self.known |= {f"share {number}.{place}": part for place, part in enumerate(parts_of(share))}
        for name in ("token.pin", "mail.password", "webhook.secret"):
            (self.home.path / name).write_text(self.secret(name))
            (self.home.path / name).chmod(0o600)
        files = {"alarms.mail.passwordFile": "mail.password", "alarms.webhook.secretFile": "webhook.secret"}
        hook = {"alarms.webhook.url": f"https://hooks.example/{self.secret('webhook url')}"}
        command = {"backup.command": f"/bin/true --token={self.secret('backup command')}"}
        amend(self.home.config, files | hook | command, keep=False)
        with self.home.config.open() as file:
            text = file.read()
        more = (
            f"# the old one was {self.secret('comment')}\n"
            f"Server.password={self.secret('property of the original')}\n"
            f"Server.pasword={self.secret('misspelt property')}\n"
        )
        self.home.config.write_text(text.replace("# End.\n", more + "# End.\n"))
        self.known |= inner_secrets(self.home)
        for name in ("server", "gateway", "administrator"):
            body = self.home.key(name).read_text().splitlines()[1:-1]
            self.known |= {f"{name}.key line {place}": line.encode() for place, line in enumerate(body)}
        (folder_file := self.folder / "password").write_bytes(password)
        folder_file.chmod(0o600)
        return self

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `qekm` on it."""
        return subprocess.run(
            [str(self.bin / "qekm"), *words, "--home", str(self.home.path)],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment(QEKM_SPARE=self.known["command password"].decode()),
            check=False,
        )

    def said(self, *words: str) -> int:
        """Run `qekm` on it in this process, and return how it ended."""
        return run((*words, "--home", str(self.home.path))).code

    def packed(self, name: str, *words: str) -> tuple[dict[str, bytes], str]:
        """Do as `bundle` does, without a process for the command itself."""
        told = io.StringIO()
        with redirect_stdout(told), redirect_stderr(told):
            code = self.said("doctor", "bundle", "--output", str(self.folder / name), *words)
        assert code == 0, told.getvalue()
        return members_of(self.folder / name), told.getvalue()

    def bundle(self, name: str, *words: str) -> tuple[dict[str, bytes], str]:
        """Pack a bundle and return its members, and what was said."""
        done = self.run("doctor", "bundle", "--output", str(self.folder / name), *words)
        assert done.returncode == 0, done.stderr
        return members_of(self.folder / name), done.stdout + done.stderr


def members_of(path: Path) -> dict[str, bytes]:
    """Return what is in a bundle."""
    with tarfile.open(path) as tar:
        files = {each.name.partition("/")[2]: tar.extractfile(each) for each in tar.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give one that has been used: a login, a wrong password, a drive, a refused call."""
    site = Site(tmp_path_factory.mktemp("bundle")).make()
    site.estate.start()
    password = ("--command-password-file", str(site.folder / "password"))
    try:
        assert site.said("login", *password) == 0
        (site.folder / "wrong").write_text(site.secret("wrong password"))
        assert site.said("drives", "add", SERIAL) == 0
        assert site.said("logout") == 0
        assert site.said("keys", "list", "--command-password-file", str(site.folder / "wrong")) != 0
        assert site.said("login", *password) == 0
        kept = json.loads(site.home.session_file("administrator").read_bytes())
        site.known["session"] = bytes.fromhex(kept["session"])
        with connect(site.home.path, session=site.known["session"]) as client:
            wait_for(lambda: client.server.GetStatus(GetStatusRequest()).gateways)
        yield site
    finally:
        site.estate.close()


@pytest.fixture(scope="module")
def bundled(site: Site) -> tuple[dict[str, bytes], str]:
    return site.bundle("up.tar.gz")


def hits(site: Site, members: dict[str, bytes]) -> list[object]:
    """Return every secret that is in one of the members, in any form; the whole archive is searched, too."""
    canaries = Canaries(site.known)
    found = [hit for name, content in members.items() for hit in canaries.search(content, name)]
    return [*found, *canaries.search(gzip.decompress(archive(members)), "the archive")]


def test_it_holds_what_helps(site: Site, bundled: tuple[dict[str, bytes], str]) -> None:
    members, said = bundled
    assert stat.S_IMODE((site.folder / "up.tar.gz").stat().st_mode) == 0o600
    assert f"{len(members)} files" in said
    assert {name.partition("/")[0] for name in members} == {
        *("README.txt", "doctor.json", "versions.json", "status.json", "audit.json", "files.txt"),
        *("configuration", "logs"),
    }
    assert json.loads(members["doctor.json"])["broken"] is None
    assert json.loads(members["status.json"])["status"]["gateways"][0]["name"] == "gateway"
    assert any(each["event"] == "drive.enrol" or each["drive_serial"] == SERIAL for each in records(members))
    assert b"action=rpc.CreateDrive" in members["logs/kms_audit.log"]
    settings = members["configuration/KeyManagerConfig.properties"].decode()
    assert "alarms.mail.passwordFile=mail.password\n" in settings
    assert "alarms.webhook.url=(masked)\n" in settings
    assert "backup.command=/bin/true (masked)\n" in settings
    assert settings.endswith("Server.password=(masked)\n(unknown, 14 characters)=(masked)\n")
    assert "QEKM_SPARE=(masked)" in members["configuration/environment.txt"].decode()
    assert "root.key" in members["files.txt"].decode()
    for name in members:
        if "/" not in name:
            assert name in members["README.txt"].decode()


def test_who_has_a_command_password_is_asked_for_none_and_nothing_is_broken_for_want_of_it(
    site: Site,
) -> None:
    found = examine(site.home)
    assert found.first == "", found.told
    assert (found.verdict("service"), found.verdict("status")) == ("ok", "not looked at")
    assert "came without a session" in found.seen("status")
    assert [found.verdict(step) for step in ("gateways", "keys", "peers")] == ["not looked at"] * 3


def records(members: dict[str, bytes]) -> list[dict[str, str]]:
    """Return the audit records of a bundle."""
    return list(json.loads(members["audit.json"])["records"])


def test_no_secret_is_in_it_in_any_form(site: Site, bundled: tuple[dict[str, bytes], str]) -> None:
    members, said = bundled
    print(f"{len(Canaries(site.known))} secrets, {len(members)} members")
    assert len(Canaries(site.known)) > 30
    assert hits(site, members | {"said": said.encode()}) == []


def test_a_secret_that_is_planted_in_a_log_is_masked_and_a_build_that_masks_nothing_is_caught(
    site: Site,
) -> None:
    log = site.home.stderr_log
    before = log.read_bytes()
    name = next(name for name in site.known if name.startswith("key "))
    told = (
        site.known[name].hex(),
        site.known["command password"].decode(),
        site.home.key("server").read_text(),
    )
    log.write_text("2026-11-26 key {} password={}\n{}".format(*told))
    try:
        (text,) = [text for file, text in tails.logs_of(site.home, 100) if file == log.name]
    finally:
        log.write_bytes(before)
    assert hits(site, {"log": masking.Masker()(text).encode()}) == []
    assert {hit.secret for hit in hits(site, {"log": text.encode()})} >= {name, "command password"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("member", ["root.key", "pki/server.key", "KeyManagerConfig.properties", "token.pin"])
def test_a_careless_bundle_is_caught(site: Site, bundled: tuple[dict[str, bytes], str], member: str) -> None:
    careless = bundled[0] | {member: (site.home.path / member).read_bytes()}
    assert hits(site, careless)


def test_names_have_the_same_pseudonym_in_every_file(site: Site) -> None:
    members, _ = site.packed("masked.tar.gz", "--mask-names")
    whole = b"".join(members.values()).decode()
    assert SERIAL not in whole
    pseudonym = next(each["drive_serial"] for each in records(members) if each["drive_serial"])
    assert pseudonym.startswith("serial-")
    assert f"resource=drive {pseudonym}" in members["logs/kms_audit.log"].decode()
    assert "127.0.0.1" in whole or "localhost" in whole, "what is everybody's is no name"
    assert hits(site, members) == []


def test_a_file_that_is_there_is_not_replaced_and_nothing_half_is_left(site: Site, tmp_path: Path) -> None:
    (tmp_path / "there.tar.gz").write_bytes(b"mine")
    done = site.run("doctor", "bundle", "--output", str(tmp_path / "there.tar.gz"))
    assert (done.returncode, (tmp_path / "there.tar.gz").read_bytes()) == (2, b"mine")
    with pytest.raises(OSError):
        pack(tmp_path / "nowhere" / "x.tar.gz", {"a": b"b"})
    assert [path.name for path in tmp_path.iterdir()] == ["there.tar.gz"]
    same = archive({"a": b"b", "c/d": b"e"})
    assert same == archive({"a": b"b", "c/d": b"e"}), "who packed it, and when, is not in it"
    with tarfile.open(fileobj=io.BytesIO(same)) as tar:
        assert [(each.name, each.mode, each.uid, each.mtime) for each in tar] == [
            ("qekm-bundle/a", 0o600, 0, 0),
            ("qekm-bundle/c/d", 0o600, 0, 0),
        ]


def test_it_works_while_the_service_is_down(site: Site) -> None:
    site.estate.stop()
    members, said = site.packed("down.tar.gz", "--lines", "3", "--records", "5")
    assert "unavailable" in json.loads(members["status.json"])
    assert len(members["logs/native_stdout.log"].splitlines()) == 3
    assert hits(site, members | {"said": said.encode()}) == []


def test_a_value_that_cannot_be_used_is_not_in_what_the_doctor_says_of_it(site: Site) -> None:
    before = site.home.config.read_text()
    site.home.config.write_text(re.sub("webhook.url=.*", f"webhook.url={site.secret('bad value')}", before))
    members, _ = site.packed("bad.tar.gz")
    site.home.config.write_text(before)
    told = json.loads(members["doctor.json"])["broken"]
    assert (told["step"], "alarms.webhook.url must be" in told["seen"][0]) == ("configuration", True)
    assert hits(site, members) == []
