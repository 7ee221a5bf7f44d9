"""`qekm keystore` and its slots against a service in memory."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from qekm.errors import BadPassword, ServiceAway
from qekm.v1 import keystore_pb2
from qekm.v1 import slots_pb2 as pb

from .conftest import Outcome, Qekm
from .fake_service import FakeService
from .terminal import typed_to_qekm


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    """Give a key file."""
    (tmp_path / "root.key").write_bytes(bytes(32))
    return str(tmp_path / "root.key")


def last(service: FakeService) -> pb.CreateSlotRequest:
    """Return the last request, without the proof, which is checked."""
    request = service.slots.requests[-1]
    assert request.proof == pb.Proof(key_file=bytes(32))
    assert isinstance(request, pb.CreateSlotRequest)
    copy = pb.CreateSlotRequest()
    copy.CopyFrom(request)
    copy.ClearField("proof")
    return copy


def test_status_tells_protection_slot_people_and_record_key(qekm: Qekm) -> None:
    told = qekm("keystore", "status")
    assert told.code == 0
    assert {line.split("  ")[0]: line.split("  ")[-1].strip() for line in told.lines} == {
        "Estate": "0" * 32,
        "Epoch": "1",
        "Keys": "1,024 ready",
        "Protected by": "nothing: keys are on one disk only, DEGRADED",
        "Started with": "key-file",
        "Two people": "yes",
        "Read only": "-",
        "Record key": "version 2",
        "Still under an older one": "1,000 keys",
        "Last drill": "-",
    }
    document = qekm("keystore", "status", "--json").document
    assert set(document) == {field.name for field in keystore_pb2.GetKeystoreResponse.DESCRIPTOR.fields}


def test_lock_locks(qekm: Qekm, service: FakeService) -> None:
    assert qekm("keystore", "lock").out == "the keystore is locked\n"
    assert service.keystore.locked


def test_rotate_tells_how_many_keys_are_sealed(qekm: Qekm, service: FakeService, key_file: str) -> None:
    told = qekm("keystore", "rotate", "--key-file", key_file)
    assert (told.code, told.out) == (0, "1,024 keys are sealed under version 2 of the record key\n")
    assert service.keystore.proofs == [pb.Proof(key_file=bytes(32))]
    assert qekm("keystore", "rotate", "--key-file", key_file, "--json").document["done"] == 1024


def test_slots_are_listed(qekm: Qekm) -> None:
    told = qekm("keystore", "slots", "list")
    assert [line.split() for line in told.lines] == [
        ["NAME", "KIND", "MADE"],
        ["key-file", "key-file", "2027-01-15T08:00:00Z"],
        ["password", "password", "2027-01-15T08:00:00Z"],
    ]
    assert [row["name"] for row in qekm("keystore", "slots", "list", "--json").document["slots"]] == [
        "key-file",
        "password",
    ]


def add(qekm: Qekm, key_file: str, *words: str) -> Outcome:
    """Add a slot, proved with the key file."""
    return qekm("keystore", "slots", "add", *words, "--key-file", key_file)


def test_a_password_is_added_from_a_file(
    qekm: Qekm, service: FakeService, key_file: str, tmp_path: Path
) -> None:
    (tmp_path / "new").write_text("correct horse\n")
    new = ("--new-password-file", str(tmp_path / "new"))
    told = add(qekm, key_file, "password", "--name", "second", *new)
    assert told.out == "slot second added: the password opens the keystore\n"
    assert last(service) == pb.CreateSlotRequest(name="second", password=b"correct horse")
    assert add(qekm, key_file, "password", *new).code == 4
    told = add(qekm, key_file, "password", "--name", "third")
    assert (told.code, "--new-password-file or --new-password-fd" in told.err) == (2, True)


def test_a_new_password_is_asked_for_twice_and_the_old_one_once() -> None:
    words = ["keystore", "passwd"]
    code, screen = typed_to_qekm(words, ["correct horse", "newer horse", "newer horse"])
    assert code == 0, screen
    assert "Keystore password: |" in screen
    assert screen.count("New keystore password: |") == 1
    assert "the password of slot password is set anew" in screen
    assert "newer" not in screen
    code, screen = typed_to_qekm(words, ["correct horse", "newer horse", "newer house"])
    assert code == 2
    assert "the two passwords differ" in screen


def test_a_forgotten_password_is_set_with_another_slot(
    qekm: Qekm, service: FakeService, key_file: str, tmp_path: Path
) -> None:
    (tmp_path / "new").write_text("correct horse\n")
    words = ("--new-password-file", str(tmp_path / "new"), "--key-file", key_file)
    assert qekm("keystore", "passwd", *words).code == 0
    (request,) = service.slots.requests
    assert request == pb.UpdatePasswordRequest(proof=pb.Proof(key_file=bytes(32)), password=b"correct horse")


def test_a_key_file_is_made_here_private_and_random(
    qekm: Qekm, service: FakeService, key_file: str, tmp_path: Path
) -> None:
    made = []
    for name in ("one", "two"):
        told = add(qekm, key_file, "key-file", str(tmp_path / name), "--name", name)
        assert told.out == f"slot {name} added: {tmp_path / name} opens the keystore\n"
        content = (tmp_path / name).read_bytes()
        assert last(service) == pb.CreateSlotRequest(name=name, key_file=content)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        made.append(content)
    assert len(made[0]) == 32
    assert made[0] != made[1]


def test_a_key_file_of_a_refused_slot_goes_and_one_of_an_unknown_fate_stays(
    qekm: Qekm, service: FakeService, key_file: str, tmp_path: Path
) -> None:
    file = tmp_path / "new.key"
    service.slots.refusal = BadPassword("the key file does not open this store")
    assert add(qekm, key_file, "key-file", str(file), "--name", "new").code == 2
    assert not file.exists()
    service.slots.refusal = ServiceAway("no answer")
    told = add(qekm, key_file, "key-file", str(file), "--name", "new")
    assert (told.code, "was kept" in told.err) == (10, True)
    assert file.exists()
    told = add(qekm, key_file, "key-file", str(file), "--name", "new")
    assert (told.code, f"{file}: File exists" in told.err) == (2, True)


def test_shares_are_written_into_files(
    qekm: Qekm, service: FakeService, key_file: str, tmp_path: Path
) -> None:
    place = tmp_path / "shares"
    told = add(qekm, key_file, "shares", "--split", "2/3", "--shares-dir", str(place), "--json")
    assert last(service) == pb.CreateSlotRequest(shares=pb.NewShares(threshold=2, count=3))
    assert told.document["shares"] == [str(place / f"share-{number}.txt") for number in (1, 2, 3)]
    assert "word01" not in told.out
    assert "word01" in (place / "share-1.txt").read_text()


def test_shares_are_shown_on_a_terminal_only(qekm: Qekm, service: FakeService, key_file: str) -> None:
    told = add(qekm, key_file, "shares")
    assert (told.code, "--shares-dir" in told.err) == (2, True)
    assert service.slots.requests == []
    words = ["keystore", "slots", "add", "shares", "--key-file", key_file]
    code, screen = typed_to_qekm(words, [])
    assert code == 0, screen
    assert "5 recovery shares, of which any 3 open the keystore" in screen
    assert "share5 word01 word02" in screen
    code, screen = typed_to_qekm([*words, "--json"], [])
    assert code == 2
    assert "word01" not in screen


def test_a_token_is_added_with_its_pin(
    qekm: Qekm, service: FakeService, key_file: str, tmp_path: Path
) -> None:
    (tmp_path / "pin").write_text("1234\n")
    told = add(qekm, key_file, "pkcs11", "--new-pin-file", str(tmp_path / "pin"))
    assert told.out == "slot pkcs11 added: the token opens the keystore\n"
    assert last(service) == pb.CreateSlotRequest(pin=b"1234")


def test_a_slot_is_tested_and_removed(qekm: Qekm, service: FakeService, key_file: str) -> None:
    told = qekm("keystore", "slots", "test", "key-file", "--key-file", key_file)
    assert told.out == "slot key-file opens the keystore\n"
    told = qekm("keystore", "slots", "test", "--key-file", key_file)
    assert told.out == "slot password opens the keystore\n"
    told = qekm("keystore", "slots", "remove", "password", "--key-file", key_file)
    assert (told.out, told.err) == ("slot password removed\n", "")
    assert qekm("keystore", "slots", "remove", "password", "--key-file", key_file).code == 3
    told = qekm("keystore", "slots", "remove", "key-file", "--key-file", key_file)
    assert told.out == "slot key-file removed\n"
    assert "change the property before the next start" in told.err
