"""The client that was written from docs/protocol.md alone, against the real gateway and service.

It runs where only what it names can be imported: the standard library and cryptography.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from qekm.clock import now_us
from qekm.v1 import drives_pb2, keystore_pb2
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from tests.system.command import ask_qekm
from tests.system.processes import Estate, environment, made

STRANGER = Path(__file__).with_name("stranger")
SERIAL = "QEKMSTRANGER"
# Isolated and without site-packages: `folder` alone is added to the standard library's path.
RUN = """
import runpy, sys
script, folder, *arguments = sys.argv[1:]
sys.path.append(folder)
sys.argv[:] = [script, *arguments]
try:
    runpy.run_path(script, run_name="__main__")
finally:
    print(*(name for name in sys.modules if name.startswith("qekm")), sep="\\n", file=sys.stderr, end="")
"""
PROBE = "import importlib.util, sys; sys.path.append(sys.argv[1]); print([importlib.util.find_spec(name) \
for name in ('qekm', 'qekm_gateway', 'qekm_cli', 'tests', 'grpc')])"


@dataclass
class Abroad:
    """A key manager, a drive that it would serve, and the place from which the stranger asks for it."""

    estate: Estate
    drive: Drive
    anchor: str
    folder: Path

    def ask(self, *more: str, anchor: str = "") -> subprocess.CompletedProcess[str]:
        """Run the stranger."""
        words = [f"127.0.0.1:{self.estate.ports['tcp']}", "--serial", SERIAL, "--wwnn", self.drive.wwnn.hex()]
        words += ["--key", str(self.folder / "drive.key"), "--cert", str(self.folder / "drive.pem")]
        return self.run(RUN, str(STRANGER), *words, "--anchor", anchor or self.anchor, *more)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program that gets the folder of imports after its first word, if it has one."""
        arguments = [*words[:1], str(self.folder / "imports"), *words[1:]]
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
            env=environment(),
        )


def only_cryptography(folder: Path) -> None:
    """Make a folder from which nothing but cryptography can be imported."""
    folder.mkdir()
    for name in ("cryptography", "_cffi_backend"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        place = Path(spec.origin)
        place = place.parent if place.name == "__init__.py" else place
        (folder / place.name).symlink_to(place)


@pytest.fixture(scope="module")
def abroad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    folder = tmp_path_factory.mktemp("abroad")
    only_cryptography(folder / "imports")
    authority = make_authority(now_us())
    drive = make_drive(authority, SERIAL, now_us())
    pem = x509.load_der_x509_certificate(drive.certificates[0]).public_bytes(Encoding.PEM)
    (folder / "drive.pem").write_bytes(pem)
    private = drive.signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "drive.key").write_bytes(private)
    with made(folder / "home") as estate:
        estate.start()
        estate.wait_gateway()
        with estate.client() as client:
            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(drives_pb2.CreateAuthorityRequest(certificate=der))
        anchor = ask_qekm(estate.home, "server", "status")["status"]["anchor"]
        yield Abroad(estate, drive, anchor, folder)


def test_nothing_of_ours_can_be_imported_where_the_stranger_runs(abroad: Abroad) -> None:
    assert abroad.run(PROBE).stdout == "[None, None, None, None, None]\n"


@pytest.mark.parametrize("more", [[], ["--late"]], ids=["named at once", "named when asked"])
def test_a_stranger_creates_a_key_and_gets_the_same_one_again(abroad: Abroad, more: list[str]) -> None:
    done = abroad.ask(*more)
    assert (done.returncode, done.stderr) == (0, "")
    created, read = ({**json.loads(line), "seconds": 0} for line in done.stdout.splitlines())
    assert (created.pop("ask"), read.pop("ask")) == ("creation", "translation")
    assert created == read
    assert created["end"] == "86"
    with abroad.estate.client() as client:
        key = client.keystore.GetKey(keystore_pb2.GetKeyRequest(alias=created["alias"])).key
        assert (key.state, key.dki.hex()) == (keystore_pb2.KEY_STATE_ACTIVE, created["dki"])
    told = ask_qekm(abroad.estate.home, "audit", "list", "--drive", SERIAL)["records"]
    events = [record["event"] for record in told if record["alias"] == created["alias"]]
    assert events == ["key.create", "key.install", "key.serve", "key.install"]


def test_each_creation_is_another_key(abroad: Abroad) -> None:
    hashes = {json.loads(abroad.ask().stdout.splitlines()[0])["key_sha256"] for _ in range(2)}
    assert len(hashes) == 2


def test_a_stranger_with_another_anchor_sends_nothing_that_a_key_is_given_for(abroad: Abroad) -> None:
    with abroad.estate.client() as client:
        before = client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest())
        done = abroad.ask(anchor="00" * 32)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the server's key is not the anchor's" in done.stderr
        assert client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest()) == before
