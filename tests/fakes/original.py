"""Installations of the original, as far as its guide and its family's papers tell how they look."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qekm.interchange import jceks
from qekm.secret import Secret

SERIALS = ("001300000392", "001310000363")
WHERE = "/opt/Quantum/QEKM"  # it was installed there, on a machine that is no more
CONFIG = f"""\
#Thu Nov 15 10:14:03 MST 2007
Admin.ssl.keystore.name = {WHERE}/EKMKeys.jck
Admin.ssl.keystore.password.obfuscated = D6D4A8A1B5C1
Admin.ssl.keystore.type = jceks
Admin.ssl.protocols = SSL_TLS
Audit.event.outcome = success,failure
Audit.event.types = all
Audit.eventQueue.max = 0
Audit.handler.file.directory = keymanager/audit
Audit.handler.file.name = kms_audit.log
Audit.handler.file.size = 10000
Audit.metadata.file.name = keymanager/EKMData.xml
config.drivetable.file.url = FILE\\:{WHERE}/keymanager/filedrive.table
config.keygroup.xml.file = {WHERE}/KeyGroups.xml
config.keystore.file = {WHERE}/EKMKeys.jck
config.keystore.password.obfuscated = D6D4A8A1B5C1
config.keystore.provider = IBMJCE
config.keystore.type = jceks
debug = none
debug.output = simple_file
debug.output.file = keymanager/debug_server
drive.acceptUnknownDrives = true
fips = Off
maximum.threads = 200
Server.authMechanism = EKM
Server.password = changeME
symmetricKeySet = KEY000000000000000001
sync.action = merge
sync.timeinhours = 1
TransportListener.ssl.ciphersuites = JSSE_ALL
TransportListener.ssl.clientauthentication = 0
TransportListener.ssl.keystore.name = {WHERE}/EKMKeys.jck
TransportListener.ssl.keystore.password = changeME
TransportListener.ssl.port = 443
TransportListener.ssl.protocols = SSL_TLS
TransportListener.tcp.port = 3801
TransportListener.tcp.timeout = 10
"""
PASSWORDS = ("changeME", "D6D4A8A1B5C1")  # in the files, and nowhere else afterwards
CLIENT = f"""\
#Thu Nov 15 10:14:03 MST 2007
TransportListener.ssl.host=localhost
TransportListener.ssl.port=443
TransportListener.ssl.keystore.name={WHERE}/EKMKeys.jck
TransportListener.ssl.keystore.password=changeME
"""
needs_keytool = pytest.mark.skipif(
    not shutil.which("keytool"), reason="keytool is not installed (openjdk-17-jdk-headless)"
)


def alias(number: int) -> str:
    """Return the name of a key as its cartridges have it."""
    return f"KEY00{number:016X}"


def listing(serials: Sequence[str] = SERIALS) -> str:
    """Return what listDrivesQEKMServer prints."""
    return f"Drive entries: {len(serials)}\n" + "".join(f"SerialNumber = {each}\n" for each in serials)


@dataclass(frozen=True)
class Original:
    """An installation: its directory, the password of its keystore, and its keys by their names on tape."""

    path: Path
    password: str
    key_password: str
    keys: Mapping[str, bytes] = field(repr=False)

    @property
    def passwords(self) -> Path:
        """Return the directory, beside the installation, with files `keystore` and `key`."""
        return self.path.parent / f"{self.path.name}-passwords"

    @property
    def words(self) -> list[str]:
        """Return the options of `init` that name it."""
        words = ["--from", str(self.path), "--keystore-password-file", str(self.passwords / "keystore")]
        other = ["--key-password-file", str(self.passwords / "key")]
        return words + (other if self.key_password != self.password else [])

    @property
    def config(self) -> Path:
        """Return its KeyManagerConfig.properties."""
        return self.path / "KeyManagerConfig.properties"

    @property
    def keystore(self) -> Path:
        """Return its EKMKeys.jck."""
        return self.path / "EKMKeys.jck"

    def set(self, name: str, value: str) -> None:
        """Give a property another value, or have it at all."""
        lines = [line for line in self.config.read_text().splitlines() if line.split(" ")[0] != name]
        self.config.write_text("\n".join([*lines, f"{name} = {value}"]) + "\n")

    def contents(self) -> dict[Path, bytes]:
        """Return every file of it."""
        return {path: path.read_bytes() for path in self.path.rglob("*") if path.is_file()}


Fill = Callable[[Path, str, str], Mapping[str, bytes]]


def ours(count: int = 3, iterations: int = 20) -> Fill:
    """Return what writes a keystore as Java does, in no time: keys of an old Java's 20 iterations."""

    def fill(path: Path, password: str, key_password: str) -> Mapping[str, bytes]:
        keys = {alias(number): os.urandom(32) for number in range(1, count + 1)}
        entries = [jceks.SecretKey(each, 0, "AES", Secret(material)) for each, material in keys.items()]
        own = Secret(key_password.encode())
        store = jceks.write(
            entries, Secret(password.encode()), key_password=own, iterations=iterations, cores=1
        )
        path.write_bytes(store)
        return keys

    return fill


def javas(count: int = 2) -> Fill:
    """Return what has Java's keytool write a keystore, of keys and the pair for TLS that is in there, too."""

    def fill(path: Path, password: str, key_password: str) -> Mapping[str, bytes]:
        where = ["-keystore", str(path), "-storetype", "JCEKS", "-storepass", password]
        where += ["-keypass", key_password]
        for number in range(1, count + 1):
            keytool("-genseckey", "-alias", alias(number), "-keyalg", "AES", "-keysize", "256", *where)
        keytool(
            *("-genkeypair", "-alias", "ekmcert", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=ekm"),
            *where,
        )
        entries = jceks.secret_keys(jceks.parse(path.read_bytes(), Secret(password.encode())))
        keys, _ = jceks.data_keys(entries, Secret(key_password.encode()), lambda _more: None)
        return {jceks.on_tape(key.alias): key.material.reveal() for key in keys}

    return fill


def keytool(*words: str) -> str:
    """Run keytool in English and return what it prints."""
    command = ["keytool", "-J-Duser.language=en", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def install(folder: Path, fill: Fill, *, other_password: bool = False, name: str = "QEKM") -> Original:
    """Make an installation in a directory of this name; other_password: its keys have one of their own."""
    path, password = folder / name, secrets.token_urlsafe(12)
    key_password = secrets.token_urlsafe(12) if other_password else password
    (path / "keymanager" / "audit").mkdir(parents=True)
    (path / "KeyManagerConfig.properties").write_text(CONFIG, encoding="iso-8859-1")
    (path / "ClientKeyManagerConfig.properties").write_text(CLIENT, encoding="iso-8859-1")
    (path / "KeyGroups.xml").write_text('<?xml version="1.0"?>\n<KeyGroups/>\n')
    (path / "keymanager" / "filedrive.table").write_bytes(b"\xac\xed\0\5" + os.urandom(200))
    (path / "keymanager" / "audit" / "kms_audit.log").write_text("AuditRecordType:[\n  timestamp\n  ]\n")
    (path / "keymanager" / "native_stderr.log").write_text("[Fatal Error] :-1:-1: Premature end of file.\n")
    (path / "listdrives.txt").write_text(listing())
    found = Original(path, password, key_password, fill(path / "EKMKeys.jck", password, key_password))
    found.passwords.mkdir(mode=0o700)
    for whose, text in (("keystore", password), ("key", key_password)):
        (found.passwords / whose).write_text(f"{text}\n")
    return found
