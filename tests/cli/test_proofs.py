"""What a person opens the keystore with, from options and terminals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm.v1 import slots_pb2 as pb
from qekm_cli.proofs import begun

from .conftest import Qekm
from .fake_service import FakeService
from .terminal import typed_to_qekm

PASSWORD = "correct horse"
TELL = "for proof in service.keystore.proofs: print('PROOF', proof.WhichOneof('means'), {})"


def put(path: Path, content: str | bytes) -> str:
    """Write a file and return its name."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_each_option_names_one_kind_of_proof(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    one = put(tmp_path / "one", "# share 1\n acid  Word \n\n")
    two = put(tmp_path / "two", "beta word # of Bert\r\ngamma word\n")
    reader, writer = os.pipe()
    os.write(writer, PASSWORD.encode())
    os.close(writer)
    for words, proof in (
        (("--password-file", put(tmp_path / "p", PASSWORD + "\n")), pb.Proof(password=PASSWORD.encode())),
        (("--password-fd", str(reader)), pb.Proof(password=PASSWORD.encode())),
        (("--key-file", put(tmp_path / "k", bytes(32))), pb.Proof(key_file=bytes(32))),
        (("--pin-file", put(tmp_path / "n", "1234\n")), pb.Proof(pin=b"1234")),
        (
            ("--shares-file", one, "--shares-file", two),
            pb.Proof(shares=pb.Shares(mnemonics=["acid Word", "beta word", "gamma word"])),
        ),
    ):
        told = qekm("keystore", "unlock", *words)
        assert told.code == 0, told.err
        assert told.out == "the keystore is open until 2027-01-15T08:10:00Z, with slot password\n"
        assert service.keystore.proofs[-1] == proof
    os.close(reader)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--key-file", "K", "--shares-file", "S"), "with one thing, not with several: --key-file, --shares"),
        (("--shares", "--pin-file", "P"), "not with several"),
        (("--password-file", "P", "--password-fd", "3"), "either --password-file or --password-fd"),
        (("--key-file", "SHORT"), "is no key file: it does not hold 32 bytes"),
        (("--key-file", "LONG"), "is no key file: it does not hold 32 bytes"),
        (("--key-file", "none"), "none: No such file"),
        (("--pin-file", "TWO"), "holds no PIN"),
        (("--pin-file", "EMPTY"), "holds no PIN"),
        (("--shares-file", "EMPTY"), "no recovery shares were given"),
        (("--shares-file", "MANY"), "17 recovery shares were given; there are at most 16"),
        (("--shares-file", "BINARY"), "is no text file"),
        (("--shares",), "no terminal to ask on"),
        ((), "no terminal to ask on"),
        (("--password-fd", "x"), "'--password-fd': 'x' is not a whole number"),
    ],
)
def test_what_is_no_proof_is_named_before_the_service_is_asked(
    qekm: Qekm,
    service: FakeService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "K": bytes(32),
        "SHORT": bytes(31),
        "LONG": bytes(33),
        "S": b"word\n",
        "P": b"1234\n",
        "TWO": b"12\n34\n",
        "EMPTY": b"\n",
        "MANY": b"word\n" * 17,
        "BINARY": b"\xff\xfe",
    }.items():
        put(tmp_path / name, content)
    done = qekm("keystore", "unlock", *words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert service.keystore.proofs == []


def test_the_password_is_asked_for_on_a_terminal_and_not_shown() -> None:
    code, screen = typed_to_qekm(["keystore", "unlock"], [PASSWORD], after=TELL.format("proof.password"))
    assert code == 0, screen
    assert screen.startswith("Keystore password: |")
    assert "horse" not in screen.partition("PROOF")[0]
    assert f"PROOF password b'{PASSWORD}'" in screen


@pytest.mark.parametrize(("verb", "hardened"), [("unlock", True), ("status", False)])
def test_no_core_is_left_of_a_process_that_read_a_password(verb: str, hardened: bool) -> None:
    """The control: a command that reads none is as any other program."""
    dumpable = "import ctypes, resource; dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
    told = "print('HARDENED', not dumpable and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))"
    _, screen = typed_to_qekm(["keystore", verb], [PASSWORD] * hardened, after=dumpable + told)
    assert f"HARDENED {hardened}" in screen


def test_shares_are_asked_for_one_by_one_until_nothing_is_typed() -> None:
    after = TELL.format("list(proof.shares.mnemonics)")
    lines = ["acid word", "  beta   word ", ""]
    code, screen = typed_to_qekm(["keystore", "unlock", "--shares"], lines, after=after)
    assert code == 0, screen
    assert screen.count("Recovery share") == 3
    assert "acid" not in screen.partition("PROOF")[0]
    assert "PROOF shares ['acid word', 'beta word']" in screen


def test_generate_opens_a_locked_keystore_and_goes_on(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    service.keystore.locked = True
    told = qekm("keys", "generate", "3", "--key-file", put(tmp_path / "k", bytes(32)))
    assert told.code == 0, told.err
    assert told.out.startswith("made 3 keys: ")
    assert service.keystore.proofs == [pb.Proof(key_file=bytes(32))]


def test_generate_asks_for_the_password_on_a_terminal_if_the_keystore_is_locked() -> None:
    locked = "service.keystore.locked = True"
    code, screen = typed_to_qekm(["keys", "generate", "3"], [PASSWORD], before=locked)
    assert code == 0, screen
    assert screen.startswith("Keystore password: |")
    assert "made 3 keys" in screen
    code, screen = typed_to_qekm(["keys", "generate", "3"], [])
    assert code == 0
    assert "password" not in screen


def test_generate_without_a_terminal_says_that_the_keystore_is_locked(
    qekm: Qekm, service: FakeService
) -> None:
    service.keystore.locked = True
    told = qekm("keys", "generate", "3")
    assert (told.code, told.out) == (6, "")
    assert told.err == (
        "qekm: error: GenerateKeys needs a slot of the keystore opened first\n"
        "qekm: hint: open one with: qekm keystore unlock\n"
    )
    assert service.keystore.proofs == []


def test_a_call_has_begun_when_its_first_answer_is_there() -> None:
    assert list(begun(iter([1, 2, 3]))) == [1, 2, 3]
    assert list(begun(iter([]))) == []
