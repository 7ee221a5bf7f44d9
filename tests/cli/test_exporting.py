"""`qekm keys export` against a service in memory."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

import pytest

from qekm.errors import ApprovalNeeded, ServiceAway
from qekm.interchange import jceks, ltfs, stenc
from qekm.secret import Secret
from qekm.v1 import sharing_pb2 as pb
from qekm.v1.slots_pb2 import Proof

from .conftest import Qekm
from .fake_service import ALIAS, FakeService
from .fake_service.sharing import DATA, material
from .terminal import typed_to_qekm

ONE, SIX = ALIAS.format(1), ALIAS.format(6)


def test_an_export_for_a_partner_is_written_as_it_comes(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "keys.cms"
    told = qekm("keys", "export", ONE, SIX.lower(), ONE.lower(), "--to", "acme", "--output", str(file))
    assert (told.code, told.err) == (0, "")
    assert told.out == f"2 keys exported for partner acme: {file}\n"
    assert file.read_bytes() == DATA
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert service.sharing.exports == [
        pb.ExportKeysRequest(aliases=[ONE, SIX.lower(), ONE.lower()], partner="acme")
    ]


def test_a_group_is_counted_without_what_stays(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    document = qekm(
        *("keys", "export", "--group", "default", "--to", "acme", "--output", str(tmp_path / "keys")),
        "--json",
    ).document
    assert document == {"file": str(tmp_path / "keys"), "format": "cms", "partner": "acme", "keys": 1}
    assert service.sharing.exports == [pb.ExportKeysRequest(group="default", partner="acme")]


def test_keys_in_clear_are_made_into_files_of_other_programs_and_said_to_be(
    qekm: Qekm, tmp_path: Path
) -> None:
    told = qekm(*f"keys export {ONE} {SIX} --format ltfs --in-clear --output {tmp_path / 'list'}".split())
    assert told.out == f"2 keys exported as ltfs: {tmp_path / 'list'}\n"
    assert told.err == "qekm: its keys are in clear: who reads the file reads the tapes\n"
    keys = ltfs.parse((tmp_path / "list").read_bytes())
    assert [(key.alias, key.material.reveal()) for key in keys] == [
        (ONE, material(ONE)),
        (SIX, material(SIX)),
    ]
    told = qekm(*f"keys export {ONE} --format stenc --in-clear --output {tmp_path / 'key'}".split())
    assert told.out == f"1 key exported as stenc: {tmp_path / 'key'}\n"
    key = stenc.parse((tmp_path / "key").read_bytes())
    assert (key.description, key.material.reveal()) == (ONE, material(ONE))


def test_a_java_keystore_is_made_under_the_password_given(qekm: Qekm, tmp_path: Path) -> None:
    password = secrets.token_urlsafe(8)
    (tmp_path / "password").write_text(f"{password}\n")
    words = f"keys export --group default --format jceks --output {tmp_path / 'out.jck'}".split()
    told = qekm(*words, "--store-password-file", str(tmp_path / "password"))
    assert told.code == 0, told.err
    assert "MD5 and Triple DES" in told.err
    entries = jceks.parse((tmp_path / "out.jck").read_bytes(), Secret(password.encode()))
    assert [entry.alias for entry in entries] == [ONE.lower(), SIX.lower()]
    first = entries[0]
    assert isinstance(first, jceks.ProtectedKey)
    key = jceks.unprotect(first, Secret(password.encode()))
    assert isinstance(key, jceks.SecretKey)
    assert (key.is_data_key, key.material.reveal()) == (True, material(ONE))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--to acme", "name the keys, or a group"),
        (f"{ONE} --group default --to acme", "name the keys, or a group"),
        (ONE, "--to names the partner"),
        (f"{ONE} --format ltfs --in-clear --to acme", "--to names the partner"),
        (f"{ONE} --format ltfs", "keys in clear"),
        (f"{ONE} --format stenc", "keys in clear"),
        (f"{ONE} --to acme --in-clear", "keys in clear"),
        (f"{ONE} {SIX} --format stenc --in-clear", "name just one"),
        ("--group default --format stenc --in-clear", "name just one"),
        (f"{ONE} --format tar", "'tar'"),
        (f"{ONE} --format jceks", "no terminal to ask on"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    qekm: Qekm, service: FakeService, tmp_path: Path, words: str, told: str
) -> None:
    done = qekm("keys", "export", *words.split(), "--output", str(tmp_path / "keys"))
    assert done.code == 2
    assert told in done.err
    assert service.sharing.exports == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_costs_no_approval(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"old")
    words = ("keys", "export", ONE, "--to", "acme", "--output", str(tmp_path / "keys"))
    assert qekm(*words).code == 2
    assert service.sharing.exports == []
    assert qekm(*words, "--force").code == 0
    assert (tmp_path / "keys").read_bytes() == DATA


def test_who_must_wait_for_a_second_person_is_told_and_no_file_is_left(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    service.sharing.refusal = ApprovalNeeded(
        "a second person must approve this: export 1 key", hint="qekm approvals approve 1234abcd"
    )
    told = qekm("keys", "export", ONE, "--to", "acme", "--output", str(tmp_path / "keys"))
    assert told.code == 6
    assert "qekm approvals approve 1234abcd" in told.err
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_is_cut_off_leaves_no_file(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    whole = service.sharing.ExportKeys

    def cut(request: pb.ExportKeysRequest, timeout: float) -> object:
        yield next(whole(request, timeout))
        raise ServiceAway("the service went away")

    service.sharing.ExportKeys = cut  # type: ignore[method-assign,assignment]
    assert qekm("keys", "export", ONE, "--to", "acme", "--output", str(tmp_path / "keys")).code == 10
    assert list(tmp_path.iterdir()) == []


def test_a_locked_keystore_is_opened_with_what_was_named(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    service.keystore.locked = True
    (tmp_path / "root.key").write_bytes(bytes(32))
    words = ("keys", "export", ONE, "--to", "acme", "--output", str(tmp_path / "keys"))
    assert qekm(*words).code == 6
    assert qekm(*words, "--key-file", str(tmp_path / "root.key")).code == 0
    assert service.keystore.proofs == [Proof(key_file=bytes(32))]


def test_a_new_java_keystores_password_is_asked_for_twice(tmp_path: Path) -> None:
    password = secrets.token_urlsafe(8)
    words = f"keys export {ONE} --format jceks --output {tmp_path / 'out.jck'}".split()
    after = "import ctypes; print('DUMPABLE', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    code, screen = typed_to_qekm(words, [password, password], after=after)
    assert (code, password in screen) == (0, False), screen
    assert "Password of the Java keystore: " in screen
    assert "DUMPABLE 0" in screen  # nobody may look into a process that holds keys
    assert jceks.parse((tmp_path / "out.jck").read_bytes(), Secret(password.encode()))
    code, screen = typed_to_qekm([*words, "--force"], [password, password + "x"])
    assert code == 2
    assert "the two passwords differ" in screen


@pytest.mark.parametrize("password", ["short", "pässwort"])
def test_a_password_that_java_would_not_take_costs_no_approval(
    qekm: Qekm, service: FakeService, tmp_path: Path, password: str
) -> None:
    (tmp_path / "password").write_text(password)
    words = f"keys export {ONE} --format jceks --output {tmp_path / 'out.jck'}".split()
    assert qekm(*words, "--store-password-file", str(tmp_path / "password")).code == 2
    assert service.sharing.exports == []
