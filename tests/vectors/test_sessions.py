"""The published sessions are right, by our codec and, apart from it, by the openssl command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm.dkp import names, pages, signed
from qekm.dkp.codes import Ask, Code, ask_of
from qekm.dkp.frame import MessageType, Tag, build, fault_of, parse, serialize
from qekm.dkp.messages import check_flags, check_missing, named_dki
from tests.vectors.make_sessions import FILE, make_sessions
from tests.vectors.oaep import oaep_encode, oaep_encrypt
from tests.vectors.reading import Session, frame_of, leaf_of, raws, signatures, value_of

PUBLISHED: dict[str, Any] = json.loads(FILE.read_text())
NAMES = ("creation", "translation", "acquisition", "error")
MESSAGES = {
    "creation": [0x01, 0x82, 0x02, 0x84, 0x04, 0x86],
    "translation": [0x01, 0x82, 0x02, 0x83, 0x03, 0x84, 0x04, 0x86],
    "acquisition": [0x01, 0x82, 0x02, 0x84, 0x04, 0x86],
    "error": [0x01, 0x82, 0x02, 0xFF],
}
TYPES = {"creation": 2, "translation": 4, "acquisition": 3, "error": 4}
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl command")


@pytest.fixture(scope="module", params=["published", "made anew"])
def book(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the file's contents, and once more what the script makes now."""
    return PUBLISHED if request.param == "published" else make_sessions(os.urandom)[0]


@pytest.fixture(params=NAMES)
def session(request: pytest.FixtureRequest, book: dict[str, Any]) -> Session:
    """Return one session."""
    found: Session = book["sessions"][NAMES.index(request.param)]
    assert found["name"] == request.param
    return found


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Run the openssl command; AssertionError with what it said if it fails."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)], input=stdin, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return done.stdout


# By our codec.


def test_frames_follow_each_other_and_stand_up_to_every_check(session: Session) -> None:
    frames = [parse(raw) for raw in raws(session)]
    assert [frame.type for frame in frames] == MESSAGES[session["name"]]
    assert [frame.sequence for frame in frames] == list(range(1, len(frames) + 1))
    assert [frame.session_id for frame in frames] == [0] + [frames[1].session_id] * (len(frames) - 1)
    assert frames[1].session_id
    for frame, raw, written in zip(frames, raws(session), session["frames"], strict=True):
        assert serialize(frame) == raw
        assert build(frame.type, frame.session_id, frame.sequence, frame.tlvs) == frame
        check_missing(frame)
        check_flags(frame)
        assert MessageType(frame.type).name == written["message"]
        assert written["from"] == ("server" if frame.type & 0x80 else "drive")


def test_the_codec_covers_the_same_bytes_as_plain_slicing(session: Session) -> None:
    sliced = {covered for _, _, _, covered in signatures(session)}
    earlier = b""
    for raw in raws(session):
        frame = parse(raw)
        if frame.flags & 8:
            prefix = signed.SERVER if frame.type & 0x80 else signed.CLIENT
            assert signed.signed_bytes(prefix, earlier, frame) in sliced
        earlier += raw
    dsk_serial, page, _, _ = signed.split_dsk_list(value_of(session, 0x02, Tag.DSK_LIST))
    assert signed.dsk_signed_bytes(value_of(session, 0x01, Tag.DRIVE_SERIAL), dsk_serial, page) in sliced


def test_the_anchor_is_the_hash_of_the_servers_key(book: dict[str, Any], session: Session) -> None:
    public = x509.load_der_x509_certificate(leaf_of(session, 0x82)).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert sha256(spki).hexdigest() == book["anchor"]


def test_the_wrapped_key_can_be_repeated_from_public_values(book: dict[str, Any], session: Session) -> None:
    if session["name"] == "error":
        return
    set_key = frame_of(session, 0x84)
    assert set_key is not None
    page = pages.parse_set_data_encryption(value_of(session, 0x84, Tag.SET_DATA_ENCRYPTION))
    parameter_set, label, wrapped = pages.split_wrapped_key(page.key)
    kind, modulus, exponent = pages.parse_public_key_page(
        signed.split_dsk_list(value_of(session, 0x02, Tag.DSK_LIST))[1]
    )
    key, seed = bytes.fromhex(session["data_key"]), bytes.fromhex(session["oaep_seed"])
    assert oaep_encrypt(key, label, seed, modulus, exponent) == wrapped
    assert (page.clear_on_demount, page.encryption_mode, page.decryption_mode) == (True, 2, 3)
    assert parameter_set == kind.parameter_set
    assert label.hex() == session["label"]
    assert label == pages.build_label(
        value_of(session, 0x01, Tag.DRIVE_WWNN),
        bytes.fromhex(book["anchor"]),
        set_key.session_id,
        set_key.sequence,
        pages.parse_random_number_page(value_of(session, 0x02, Tag.RANDOM_NUMBER)),
        page.dki,
        sha256(leaf_of(session, 0x02)).digest(),
    )


def test_the_key_that_is_served_is_the_one_named(session: Session) -> None:
    if session["name"] == "error":
        return
    assert value_of(session, 0x84, Tag.KEY_ALIAS).decode() == session["alias"]
    page = pages.parse_set_data_encryption(value_of(session, 0x84, Tag.SET_DATA_ENCRYPTION))
    assert names.alias_to_dki(session["alias"]) == page.dki == bytes.fromhex(session["dki"])
    for kind in (0x01, 0x03):
        frame = frame_of(session, kind)
        assert frame is None or named_dki(frame) in (None, page.dki)


def test_the_key_is_confirmed(session: Session) -> None:
    status = frame_of(session, 0x04)
    if session["name"] == "error":
        assert status is None
        return
    assert status is not None
    earlier = b"".join(raws(session)[: status.sequence - 1])
    covered = signed.confirmation_bytes(earlier, status)
    proof = signed.confirmation(bytes.fromhex(session["data_key"]), status.session_id, covered)
    assert status.get(Tag.KEY_CONFIRMATION) == proof


def test_the_error_names_a_key_that_there_is_not(book: dict[str, Any]) -> None:
    session = book["sessions"][3]
    frame, first = frame_of(session, 0xFF), frame_of(session, 0x01)
    assert frame is not None
    assert first is not None
    assert (fault_of(frame).code, fault_of(frame).text) == (Code.EE31, "no key has this DKi")
    assert ask_of(first.get(Tag.SENSE) or b"") is Ask.TRANSLATE
    assert named_dki(first) == names.alias_to_dki("QKM00FFFFFFFFFF000001")


def test_no_private_key_is_published() -> None:
    assert "PRIVATE" not in FILE.read_text()


def test_a_drive_unwraps_the_key_with_its_session_key() -> None:
    made, plays = make_sessions(os.urandom)
    for session, play in zip(made["sessions"][:3], plays, strict=False):
        page = pages.parse_set_data_encryption(value_of(session, 0x84, Tag.SET_DATA_ENCRYPTION))
        _, label, wrapped = pages.split_wrapped_key(page.key)
        sha = hashes.SHA256()
        assert (
            play.dsk.decrypt(wrapped, padding.OAEP(padding.MGF1(sha), sha, label)).hex()
            == session["data_key"]
        )


# By the openssl command.


@needs_openssl
def test_openssl_verifies_every_signature_and_no_altered_one(session: Session, tmp_path: Path) -> None:
    found = signatures(session)
    assert len(found) == sum(bool(raw[7] & 8) for raw in raws(session)) + 1
    drive_types = {kind for leaf, kind, _, _ in found if leaf == leaf_of(session, 0x02)}
    assert drive_types == {TYPES[session["name"]]}
    for leaf, kind, signature, covered in found:
        verify(leaf, kind, signature, covered, tmp_path)
        with pytest.raises(AssertionError, match=r"(?i)fail|verif"):
            verify(leaf, kind, signature, covered[:-1] + bytes((covered[-1] ^ 1,)), tmp_path)


def verify(leaf: bytes, kind: int, signature: bytes, covered: bytes, folder: Path) -> None:
    """Verify a signature with `openssl dgst` under the key of a certificate."""
    public, encoded = folder / "public.pem", folder / "signature"
    public.write_bytes(openssl("x509", "-inform", "DER", "-noout", "-pubkey", stdin=leaf))
    options = [
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:32",
        "-sigopt",
        "rsa_mgf1_md:sha256",
    ]
    if kind != 2:
        half = len(signature) // 2
        assert half == {3: 48, 4: 32}[kind]
        signature = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
        options = []
    encoded.write_bytes(signature)
    digest = "-sha384" if kind == 3 else "-sha256"
    openssl("dgst", digest, *options, "-verify", public, "-signature", encoded, stdin=covered)


@needs_openssl
def test_openssl_verifies_both_chains(book: dict[str, Any], session: Session, tmp_path: Path) -> None:
    for kind, authority, purpose in (
        (0x82, "server_authority", "sslserver"),
        (0x02, "drive_authority", "sslclient"),
    ):
        (tmp_path / "ca.pem").write_text(book[authority])
        pem = openssl("x509", "-inform", "DER", stdin=leaf_of(session, kind))
        (tmp_path / "leaf.pem").write_bytes(pem)
        openssl("verify", "-purpose", purpose, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem")


@needs_openssl
def test_openssl_repeats_the_wrapping(session: Session, tmp_path: Path) -> None:
    if session["name"] == "error":
        return
    dsk = value_of(session, 0x02, Tag.DSK_LIST)
    page = dsk[7 : 7 + int.from_bytes(dsk[5:7])]
    size = int.from_bytes(page[12:14]) // 2
    numbers = rsa.RSAPublicNumbers(int.from_bytes(page[14 + size :]), int.from_bytes(page[14 : 14 + size]))
    form = PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "dsk.pem").write_bytes(numbers.public_key().public_bytes(Encoding.PEM, form))
    key, label, seed = (bytes.fromhex(session[name]) for name in ("data_key", "label", "oaep_seed"))
    encoded = oaep_encode(key, label, seed, size)
    raw_rsa = ("-pkeyopt", "rsa_padding_mode:none")
    wrapped = openssl(
        "pkeyutl", "-encrypt", "-pubin", "-inkey", tmp_path / "dsk.pem", *raw_rsa, stdin=encoded
    )
    assert value_of(session, 0x84, Tag.SET_DATA_ENCRYPTION).count(size.to_bytes(2) + wrapped + b"\0\0") == 1


@needs_openssl
def test_openssl_computes_the_confirmation(session: Session) -> None:
    if session["name"] == "error":
        return
    status = raws(session)[-2]
    at = status.find(bytes.fromhex("01910020"))
    covered = b"".join(raws(session)[:-2]) + status[:at]
    key = openssl(
        *("kdf", "-keylen", "32", "-kdfopt", "digest:SHA256", "-kdfopt", f"hexkey:{session['data_key']}"),
        *("-kdfopt", f"hexsalt:{status[8:16].hex()}", "-kdfopt", "info:QEKM CONFIRM 1C", "-binary", "HKDF"),
    )
    proof = openssl(
        "mac", "-digest", "SHA256", "-macopt", f"hexkey:{key.hex()}", "-binary", "HMAC", stdin=covered
    )
    assert proof == status[at + 4 : at + 36]
