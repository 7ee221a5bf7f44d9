"""Java reads what we write, and we read what Java writes: keytool, and a program in Java (Probe.java)."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from qekm.errors import BadPassword
from qekm.interchange.jceks import (
    PrivateKey,
    ProtectedKey,
    SecretKey,
    TrustedCertificate,
    parse,
    serialize,
    unprotect,
    write,
)
from qekm.interchange.jceks.cover import stretch
from qekm.interchange.jceks.protecting import seal
from qekm.secret import Secret
from tests.qekm.interchange.jceks.making import secret

MISSING = [name for name in ("java", "javac", "keytool") if not shutil.which(name)]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (openjdk-17-jdk-headless)"
)
PROBE = Path(__file__).with_name("Probe.java")
ENGLISH = "-J-Duser.language=en"
STORE, KEYS = (secrets.token_urlsafe(12) for _ in range(2))  # made for this run


def run(*command: str | Path, say: str = "") -> str:
    done = subprocess.run(command, input=say, capture_output=True, encoding="utf-8", check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("classes")
    run("javac", "-encoding", "UTF-8", "-d", place, PROBE)
    return place


def probe(
    classes: Path, act: str, file: Path, store: str = STORE, keys: str = KEYS, *options: str
) -> dict[str, list[str]]:
    """Run the program and return what it prints, by alias."""
    found = run("java", *options, "-cp", classes, "Probe", act, file, say=f"{store}\n{keys}\n")
    lines = [line.split(" ") for line in found.splitlines()]
    return {base64.b64decode(alias).decode(): rest for alias, *rest in lines}


def opened(file: Path, store: str = STORE, keys: str = KEYS) -> dict[str, SecretKey | PrivateKey]:
    entries = parse(file.read_bytes(), secret(store))
    found = [unprotect(entry, secret(keys)) for entry in entries if isinstance(entry, ProtectedKey)]
    return {key.alias: key for key in found}


@pytest.mark.parametrize("store", [STORE, "pässwort 密码 😀"], ids=["drawn", "unicode"])
def test_we_read_the_secret_keys_that_java_writes(classes: Path, tmp_path: Path, store: str) -> None:
    file = tmp_path / "made.jceks"
    wanted = probe(classes, "make", file, store, KEYS, "-Djdk.jceks.iterationCount=10000")
    found = opened(file, store)
    assert len(wanted) == 5
    assert found.keys() == wanted.keys()
    usable = set()
    for alias, key in found.items():
        assert isinstance(key, SecretKey)
        assert [key.algorithm, key.material.reveal().hex()] == wanted[alias]
        usable |= {alias} if key.is_data_key else set()
    assert usable == {"key000000000000000001", "schlüssel 😀"}
    with pytest.raises(BadPassword, match="does not open the keystore"):
        parse(file.read_bytes(), secret(store + "x"))
    with pytest.raises(BadPassword, match="does not open the key "):
        opened(file, store, KEYS + "x")


@pytest.fixture(scope="module")
def by_keytool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keytool") / "EKMKeys.jck"
    common = ("-keystore", file, "-storetype", "JCEKS", "-storepass", STORE, "-keypass", KEYS)
    run("keytool", ENGLISH, "-genseckey", "-alias", "Data", "-keyalg", "AES", "-keysize", "256", *common)
    name = ("-dname", "CN=ekm")
    run(
        "keytool",
        ENGLISH,
        "-genkeypair",
        "-alias",
        "rsa",
        "-keyalg",
        "RSA",
        "-keysize",
        "2048",
        *name,
        *common,
    )
    return file


def test_we_read_what_keytool_writes(by_keytool: Path) -> None:
    found = opened(by_keytool)
    data, pair = found["data"], found["rsa"]
    assert isinstance(data, SecretKey)
    assert data.is_data_key
    assert isinstance(pair, PrivateKey)
    key = load_der_private_key(pair.pkcs8.reveal(), None)
    (certificate,) = map(x509.load_der_x509_certificate, pair.chain)
    assert key.public_key() == certificate.public_key()
    for entry in parse(by_keytool.read_bytes(), secret(STORE)):
        assert isinstance(entry, ProtectedKey)
        assert entry.work().iterations == 200_000


def test_what_we_write_is_what_the_jdk_writes_to_the_byte(by_keytool: Path) -> None:
    data = by_keytool.read_bytes()
    again = []
    for entry in parse(data, secret(STORE)):
        assert isinstance(entry, ProtectedKey)
        again.append(seal(unprotect(entry, secret(KEYS)), entry.work(), stretch(KEYS.encode(), entry.work())))
    assert serialize(again, secret(STORE)) == data


@pytest.fixture(scope="module")
def ours(
    by_keytool: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes], PrivateKey]:
    """Write a store with the pair that keytool made, whose salts are also such as are a case of their own."""
    pair = opened(by_keytool)["rsa"]
    assert isinstance(pair, PrivateKey)
    material = {
        "key000000000000000001": os.urandom(32),
        "schlüssel 😀": os.urandom(32),
        "mac": os.urandom(64),
    }
    algorithms = {"mac": "HmacSHA512"}
    keys = [
        SecretKey(
            alias.upper() if alias.isascii() else alias,
            1_700_000_000_000,
            algorithms.get(alias, "AES"),
            Secret(value),
        )
        for alias, value in material.items()
    ]
    given = iter((b"halfhalf", os.urandom(8), os.urandom(8), b"\1\2\3\4\1\2\3\4"))
    data = write(
        [*keys, pair, TrustedCertificate("root", 0, pair.chain[0])],
        secret(STORE),
        key_password=secret(KEYS),
        iterations=20,
        random_bytes=lambda _: next(given),
    )
    file = tmp_path_factory.mktemp("ours") / "ours.jceks"
    file.write_bytes(data)
    return file, material, pair


Ours = tuple[Path, dict[str, bytes], PrivateKey]


def test_keytool_lists_what_we_write(ours: Ours) -> None:
    listed = run(
        "keytool", ENGLISH, "-list", "-keystore", ours[0], "-storetype", "JCEKS", "-storepass", STORE
    )
    assert "Your keystore contains 5 entries" in listed
    assert "key000000000000000001, Nov 1" in listed
    assert listed.count("SecretKeyEntry") == 3
    assert listed.count("PrivateKeyEntry") == 1
    assert listed.count("trustedCertEntry") == 1


def test_keytool_converts_what_we_write(ours: Ours, tmp_path: Path) -> None:
    file = tmp_path / "converted.p12"
    common = ("-srckeystore", ours[0], "-srcstoretype", "JCEKS", "-srcstorepass", STORE, "-srckeypass", KEYS)
    target = (
        "-destkeystore",
        file,
        "-deststoretype",
        "PKCS12",
        "-deststorepass",
        STORE,
        "-destkeypass",
        STORE,
    )
    alias = ("-srcalias", "key000000000000000001")
    run("keytool", ENGLISH, "-importkeystore", "-noprompt", *common, *target, *alias)
    listed = run("keytool", ENGLISH, "-list", "-keystore", file, "-storepass", STORE)
    assert "key000000000000000001" in listed


def test_a_program_in_java_uses_the_keys_that_we_write(ours: Ours, classes: Path) -> None:
    file, material, pair = ours
    found = probe(classes, "use", file)
    assert found.keys() == {*material, "rsa", "root"}
    for alias in ("key000000000000000001", "schlüssel 😀"):
        kind, nonce, result = found[alias]
        assert kind == "AES"
        assert AESGCM(material[alias]).decrypt(bytes.fromhex(nonce), bytes.fromhex(result), None) == b"tape"
    assert found["mac"] == ["HmacSHA512", material["mac"].hex()]
    certificate = x509.load_der_x509_certificate(pair.chain[0])
    kind, signature = found["rsa"]
    assert kind == "RSA1"
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(bytes.fromhex(signature), b"tape", padding.PKCS1v15(), SHA256())
    assert found["root"] == ["certificate", certificate.public_bytes(Encoding.DER).hex()]


def test_the_program_would_notice_a_wrong_key(ours: Ours, classes: Path, tmp_path: Path) -> None:
    """The control: one key is another, and all else is right."""
    first, *rest = parse(ours[0].read_bytes(), secret(STORE))
    assert isinstance(first, ProtectedKey)
    other = SecretKey(first.alias, first.created_ms, "AES", Secret(bytes(32)))
    altered = seal(other, first.work(), stretch(KEYS.encode(), first.work()))
    file = tmp_path / "altered.jceks"
    file.write_bytes(serialize([altered, *rest], secret(STORE)))
    _, nonce, result = probe(classes, "use", file)[first.alias]
    assert AESGCM(bytes(32)).decrypt(bytes.fromhex(nonce), bytes.fromhex(result), None) == b"tape"
    material = ours[1][first.alias]
    with pytest.raises(InvalidTag):
        AESGCM(material).decrypt(bytes.fromhex(nonce), bytes.fromhex(result), None)


def test_java_opens_a_store_of_ours_whose_password_is_not_ascii(
    ours: Ours, classes: Path, tmp_path: Path
) -> None:
    password, file = "pässwort 密码 😀", tmp_path / "unicode.jceks"
    file.write_bytes(serialize(parse(ours[0].read_bytes(), secret(STORE)), secret(password)))
    assert probe(classes, "use", file, password).keys() == {*ours[1], "rsa", "root"}
