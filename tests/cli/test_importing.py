"""`qekm keys import` against a service in memory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from qekm.errors import BadCertificate
from qekm.interchange import jceks
from qekm.secret import Secret
from qekm.v1 import sharing_pb2 as pb
from qekm.v1.slots_pb2 import Proof
from qekm_cli.keyfiles import MOST_BYTES, FileKey, write_ltfs, write_stenc

from .conftest import Qekm
from .fake_service import ALIAS, FakeService
from .terminal import typed_to_qekm

STORE, KEYS = secrets.token_urlsafe(8), secrets.token_urlsafe(8)
CMS = b"\x30\x84" + os.urandom(150_000)
FIRST, SECOND = "KEY000000000000000001", "KEY000000000000000A02"
MATERIAL = os.urandom(32)


def file_key(alias: str, material: bytes = MATERIAL) -> FileKey:
    return FileKey(alias, Secret(material), alias[:3].encode() + bytes.fromhex(alias[3:]))


def secret_key(alias: str, algorithm: str = "AES", material: bytes = MATERIAL) -> jceks.SecretKey:
    return jceks.SecretKey(alias, 1_700_000_000_000, algorithm, Secret(material))


def java(path: Path, *keys: jceks.SecretKey | jceks.TrustedCertificate, key_password: str = STORE) -> Path:
    """Write a Java keystore."""
    data = jceks.write(
        keys, Secret(STORE.encode()), key_password=Secret(key_password.encode()), iterations=20
    )
    path.write_bytes(data)
    return path


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    """Give a directory with the passwords of a Java keystore and its keys."""
    (tmp_path / "store").write_text(f"{STORE}\n")
    (tmp_path / "keys").write_text(f"{KEYS}\n")
    return tmp_path


def sent(service: FakeService) -> list[pb.ImportKeysRequest]:
    """Return what was sent after the question whether one may."""
    knock, *calls = service.sharing.imports
    assert [(len(part.data), len(part.keys)) for part in knock] == [(0, 0)]
    (parts,) = calls
    return parts


def test_a_file_of_another_site_goes_to_the_service_in_parts(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "keys.cms").write_bytes(CMS)
    service.sharing.sender = "acme"
    told = qekm("keys", "import", str(tmp_path / "keys.cms"))
    assert told.code == 0, told.err
    assert told.lines[0].split() == ["ALIAS", "OUTCOME", "WHY"]
    assert told.lines[1].split() == [ALIAS.format(9), "imported", "-"]
    assert told.lines[-1] == "1 imported; signed by partner acme"
    first, *rest = sent(service)
    assert (first.group, first.source, first.data) == ("", "keys.cms", b"")
    assert b"".join(part.data for part in rest) == CMS
    assert max(len(part.data) for part in rest) <= 65_536


def test_keys_of_other_programs_go_to_the_service_under_their_names(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    for name, content in (
        ("list", write_ltfs([file_key(FIRST), file_key(SECOND)])),
        ("key", write_stenc([file_key(FIRST)])),
    ):
        (tmp_path / name).write_bytes(content)
        service.sharing.imports.clear()
        assert qekm("keys", "import", str(tmp_path / name), "--group", "old").code == 0
        head, part = sent(service)
        assert (head.group, head.source) == ("old", name)
        assert next((key.alias, key.material) for key in part.keys) == (FIRST, MATERIAL)


def test_a_java_keystores_keys_get_the_names_that_their_tapes_have(
    qekm: Qekm, service: FakeService, passwords: Path
) -> None:
    file = java(passwords / "EKMKeys.jck", secret_key(FIRST), secret_key(SECOND), secret_key("Archive1"))
    words = ("keys", "import", str(file), "--store-password-file", str(passwords / "store"))
    told = qekm(*words)
    assert told.code == 0, told.err
    keys = [key for part in sent(service) for key in part.keys]
    assert [(key.alias, key.material) for key in keys] == [
        (alias, MATERIAL) for alias in (FIRST, SECOND, "archive1")
    ]
    service.sharing.imports.clear()
    assert qekm(*words, "--keep-case").code == 0
    keys = [key for part in sent(service) for key in part.keys]
    assert [key.alias for key in keys] == [FIRST.lower(), SECOND.lower(), "archive1"]


def test_what_is_no_key_for_tapes_is_told_and_the_rest_is_sent(
    qekm: Qekm, service: FakeService, passwords: Path
) -> None:
    file = java(
        passwords / "mixed.jck",
        secret_key(FIRST),
        secret_key("tdes", "DESede", bytes(24)),
        secret_key("short", "AES", bytes(16)),
        jceks.TrustedCertificate("ca", 0, b"certificate"),
    )
    told = qekm("keys", "import", str(file), "--store-password-file", str(passwords / "store"))
    assert told.code == 5
    assert [line.split()[:2] for line in told.lines[1:4]] == [
        [FIRST, "imported"],
        ["tdes", "unusable"],
        ["short", "unusable"],
    ]
    assert told.lines[-1] == ("1 imported, 2 unusable; another entry (key pairs, certificates) left alone")


def test_keys_with_a_password_of_their_own_are_opened_with_it(
    qekm: Qekm, service: FakeService, passwords: Path
) -> None:
    file = java(passwords / "two.jck", secret_key(FIRST), key_password=KEYS)
    words = ("keys", "import", str(file), "--store-password-file", str(passwords / "store"))
    told = qekm(*words)
    assert told.code == 2
    assert "--key-password-file" in told.err
    assert qekm(*words, "--key-password-file", str(passwords / "keys")).code == 0


def test_passwords_come_from_descriptors_too(qekm: Qekm, passwords: Path) -> None:
    file = java(passwords / "two.jck", secret_key(FIRST), key_password=KEYS)
    descriptors = []
    for password in (STORE, KEYS):
        reader, writer = os.pipe()
        os.write(writer, password.encode() + b"\n")
        os.close(writer)
        descriptors.append(reader)
    words = ("--store-password-fd", str(descriptors[0]), "--key-password-fd", str(descriptors[1]))
    told = qekm("keys", "import", str(file), *words)
    assert told.code == 0, told.err


def test_passwords_are_asked_for_on_a_terminal_and_the_keys_only_if_it_is_another(passwords: Path) -> None:
    same = java(passwords / "same.jck", secret_key(FIRST))
    two = java(passwords / "two.jck", secret_key(FIRST), key_password=KEYS)
    code, screen = typed_to_qekm(["keys", "import", str(same)], [STORE])
    assert (code, STORE in screen) == (0, False), screen
    assert "Password of the Java keystore: " in screen
    code, screen = typed_to_qekm(["keys", "import", str(two)], [STORE, KEYS])
    assert (code, KEYS in screen) == (0, False), screen
    assert "Password of the Java keystore's keys: " in screen


@pytest.mark.parametrize("hardened", [True, False])
def test_nobody_may_look_into_the_process_that_holds_keys(passwords: Path, hardened: bool) -> None:
    """The control: a command that holds none may be looked into."""
    same = java(passwords / "same.jck", secret_key(FIRST))
    after = "import ctypes; print('DUMPABLE', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    words = ["keys", "import", str(same)] if hardened else ["keys", "list"]
    _, screen = typed_to_qekm(words, [STORE] if hardened else [], after=after)
    assert f"DUMPABLE {0 if hardened else 1}" in screen


def test_a_wrong_password_of_the_store_is_told_before_anything_is_sent(
    qekm: Qekm, service: FakeService, passwords: Path
) -> None:
    file = java(passwords / "EKMKeys.jck", secret_key(FIRST))
    told = qekm("keys", "import", str(file), "--store-password-file", str(passwords / "keys"))
    assert told.code == 2
    assert "the password does not open the keystore" in told.err
    assert len(service.sharing.imports) == 1


def test_a_wrong_password_of_one_key_leaves_the_others(
    qekm: Qekm, service: FakeService, passwords: Path
) -> None:
    one = jceks.protect(secret_key(FIRST), Secret(STORE.encode()), iterations=20)
    other = jceks.protect(secret_key(SECOND), Secret(KEYS.encode()), iterations=20)
    file = passwords / "mixed.jck"
    file.write_bytes(jceks.serialize([one, other], Secret(STORE.encode())))
    told = qekm("keys", "import", str(file), "--store-password-file", str(passwords / "store"), "--json")
    assert told.code == 5
    assert [(row["alias"], row["outcome"]) for row in told.document["keys"]] == [
        (FIRST, "imported"),
        (SECOND.lower(), "unusable"),
    ]


def test_the_report_tells_every_fate_and_its_reason(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    keys = [file_key(f"KEY00000000000000000{n}") for n in range(1, 4)]
    (tmp_path / "list").write_bytes(write_ltfs(keys))
    service.sharing.fates = {
        keys[0].alias: (pb.IMPORT_OUTCOME_PRESENT, ""),
        keys[1].alias: (pb.IMPORT_OUTCOME_PRESENT, "it is to be destroyed"),
    }
    told = qekm("keys", "import", str(tmp_path / "list"))
    assert told.code == 0
    assert told.lines[2].split(maxsplit=2) == [keys[1].alias, "present", "it is to be destroyed"]
    assert told.lines[-1] == "1 imported, 2 present"
    for fate in (pb.IMPORT_OUTCOME_CONFLICT, pb.IMPORT_OUTCOME_UNUSABLE):
        service.sharing.fates[keys[2].alias] = (fate, "another key has the alias")
        assert qekm("keys", "import", str(tmp_path / "list")).code == 5
    document = qekm("keys", "import", str(tmp_path / "list"), "--json").document
    assert document["sender"] == ""
    assert document["keys"][2] == {
        "alias": keys[2].alias,
        "outcome": "unusable",
        "message": "another key has the alias",
    }


def test_a_locked_keystore_is_opened_before_a_java_keystore_is(
    qekm: Qekm, service: FakeService, passwords: Path
) -> None:
    service.keystore.locked = True
    (passwords / "root.key").write_bytes(bytes(32))
    file = java(passwords / "EKMKeys.jck", secret_key(FIRST))
    assert qekm("keys", "import", str(file)).code == 6
    words = ("--key-file", str(passwords / "root.key"), "--store-password-file", str(passwords / "store"))
    assert qekm("keys", "import", str(file), *words).code == 0
    assert service.keystore.proofs == [Proof(key_file=bytes(32))]


def test_files_that_hold_no_keys_are_refused_before_anything_is_sent(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("no keys")
    (tmp_path / "huge").write_bytes(bytes(MOST_BYTES + 1))
    for name, told in (("text", "none that keys come in"), ("huge", "more than any file of keys")):
        done = qekm("keys", "import", str(tmp_path / name))
        assert done.code == 2
        assert told in done.err
    assert qekm("keys", "import", str(tmp_path / "none")).code == 2
    assert service.sharing.imports == []
    for kind in ("jceks", "ltfs", "stenc"):
        (tmp_path / "store").write_text(STORE)
        words = ("--format", kind, "--store-password-file", str(tmp_path / "store"))
        assert qekm("keys", "import", str(tmp_path / "text"), *words).code == 2


def test_what_the_service_refuses_is_told(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "keys.cms").write_bytes(CMS)
    service.sharing.refusal = BadCertificate("no partner signed it", hint="qekm certificates import")
    told = qekm("keys", "import", str(tmp_path / "keys.cms"))
    assert (told.code, told.out) == (2, "")
    assert "no partner signed it" in told.err
