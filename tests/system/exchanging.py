"""Sites that exchange keys as their operators do it: commands, two people, a file between them."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.interchange import jceks
from qekm.secret import Secret
from qekm.v1.approvals_pb2 import GrantApprovalRequest
from qekm.v1.drives_pb2 import CreateAuthorityRequest
from qekm_gateway.simulator.anchors import load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.cartridge import Cartridge, create_cartridge
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.system.command import run_qekm
from tests.system.processes import Estate, made

SERIAL = "001300000392"


@dataclass
class Place:
    """A key manager, a second person there, and a library with one drive."""

    name: str
    estate: Estate
    folder: Path
    drive: Drive

    def qekm(self, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with this code; whatever needs it is opened with the key file."""
        done = run_qekm(self.estate.home, *map(str, words), timeout_s=300)
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        return done

    @property
    def opening(self) -> tuple[str, Path]:
        """Return the options that open the keystore."""
        return "--key-file", self.estate.home.root_key

    def export(self, *words: str | Path) -> None:
        """Export keys: asked for, approved by the second person, asked for again."""
        asked = self.qekm("keys", "export", *words, *self.opening, code=6)
        found = re.search(r"qekm approvals approve ([0-9a-f]{8})", asked.stderr)
        assert found, asked.stderr
        with self.estate.client("bob") as bob:
            bob.approvals.GrantApproval(GrantApprovalRequest(approval_id=found[1]))
        self.qekm("keys", "export", *words)

    def knows(self, other: Place) -> None:
        """Take another site in as a partner under its name."""
        file = self.folder / f"{other.name}.pem"
        told = other.qekm("certificates", "export", "--output", file).stdout
        digits = told.partition("SHA-256: ")[2].strip()
        self.qekm("certificates", "import", file, "--name", other.name, "--fingerprint", digits)

    @property
    def library(self) -> Library:
        """Return the library at the ports of now; its drive is one that the key manager accepts by itself."""
        servers = [Server("127.0.0.1", self.estate.ports["tcp"])]
        anchors = load_anchors([], [self.estate.home.trust])
        return Library("LIB1", [self.drive], servers, anchors, os.urandom, now_us)

    def write(self, volser: str, content: bytes) -> tuple[Cartridge, InstalledKey]:
        """Have the drive write a new cartridge; return it and the key that it was written with."""
        cartridge, library = create_cartridge(self.folder / volser, volser), self.library
        library.insert(cartridge)
        library.load(volser, SERIAL)
        outcome = library.write(SERIAL, BytesIO(content))
        assert outcome.key is not None
        return cartridge, outcome.key

    def read(self, cartridge: Cartridge) -> bytes:
        """Have the drive read a cartridge; CheckCondition if it gets no key."""
        library, blocks = self.library, list[bytes]()
        library.insert(cartridge)
        library.load(cartridge.volser, SERIAL)
        library.read(SERIAL, blocks.append)
        return b"".join(blocks)

    def holds(self, *materials: bytes) -> list[Path]:
        """Return the files in this place that have one of these keys in clear, in any usual spelling."""
        forms = [
            form
            for material in materials
            for form in (material, material.hex().encode(), material.hex().upper().encode())
        ]
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        return [file for file in files if any(form in file.read_bytes() for form in forms)]


def broken(build: str) -> tuple[str, ...]:
    """Return the program of a build of tests/faults/sabotage.py; empty for the real one."""
    return ("tests.faults.broken_service", build) if build else ()


@contextmanager
def place(folder: Path, name: str, failpoint: str = "") -> Iterator[Place]:
    """Make a site of 8 keys and start it."""
    home = folder / name
    home.mkdir()
    with made(home / "home", keys=8) as estate:
        estate.start(QEKM_FAILPOINT=failpoint)
        authority = make_authority(now_us())
        with estate.client() as client:
            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        estate.wait_gateway()
        site = Place(name, estate, home, make_drive(authority, SERIAL, now_us()))
        site.qekm("certificates", "issue", "custodian", "bob", "--out", estate.home.pki)
        yield site


@contextmanager
def two_places(folder: Path) -> Iterator[tuple[Place, Place]]:
    """Make two sites that know each other."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(place(folder, name)) for name in ("berne", "oslo"))
        one.knows(other)
        other.knows(one)
        yield one, other


@dataclass(frozen=True)
class JavaStore:
    """A Java keystore, the file with its password, and the keys in it by the names that tapes have."""

    file: Path
    password: Path
    keys: dict[str, bytes]

    @property
    def words(self) -> tuple[str | Path, ...]:
        """Return the words that import it."""
        return "keys", "import", self.file, "--store-password-file", self.password


def java_store(folder: Path, count: int, iterations: int, name: str = "EKMKeys.jck") -> JavaStore:
    """Make a Java keystore of keys KEY…00001 and so on, as the original's tools make them."""
    password = secrets.token_urlsafe(12)
    keys = {f"KEY00{number:016X}": os.urandom(32) for number in range(1, count + 1)}
    entries = [jceks.SecretKey(alias, 0, "AES", Secret(material)) for alias, material in keys.items()]
    (folder / name).write_bytes(jceks.write(entries, Secret(password.encode()), iterations=iterations))
    (folder / f"{name}.password").write_text(f"{password}\n")
    return JavaStore(folder / name, folder / f"{name}.password", keys)


def outcomes(document: Any) -> Sequence[str]:
    """Return what became of each key of an import, from its document."""
    return [row["outcome"] for row in document["keys"]]
