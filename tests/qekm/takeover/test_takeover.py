"""A new key manager with the keys and drives of an installation of the original."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.errors import BadArgument, BadFile, BadPassword, NoBackupTarget, QekmError, exit_code
from qekm.home import Home
from qekm.init import Made, Wanted, make
from qekm.interchange import jceks
from qekm.model import DriveState, KeyState, OnExhaustion, Outcome
from qekm.sealing import KeyFileSealer
from qekm.secret import Secret
from qekm.store import Store
from qekm.store.snapshot import Snapshot
from qekm.takeover import GROUP, Takeover, read
from qekm.trail import read_public_key, verify
from qekm.unlocking import Means, unlock
from tests.fakes.original import PASSWORDS, SERIALS, Original, alias, install, ours

SETTINGS = {"keystore.protect": "none"}


def made(old: Original, takeover: Takeover | None = None, **wanted: object) -> tuple[Home, Made]:
    """Make a small key manager beside an installation, with all of that in it."""
    home = Home(old.path.parent / "home")
    with takeover or taken(old) as taking:
        given = SETTINGS | dict(wanted.pop("given", {}))  # type: ignore[call-overload]
        properties = taking.properties(given)
        return home, make(home, Wanted(keys=4, properties=properties, takeover=taking, **wanted), now_us)  # type: ignore[arg-type]


def taken(old: Original, password: str | None = None, key_password: str | None = None) -> Takeover:
    original = read(old.path, Home(old.path.parent / "home"), None, SETTINGS)
    other = key_password or (old.key_password if old.key_password != old.password else None)
    return Takeover(
        original, Secret((password or old.password).encode()), Secret(other.encode()) if other else None
    )


@contextmanager
def opened(home: Home) -> Iterator[tuple[Store, Snapshot]]:
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        yield store, store.load()
    finally:
        store.close()


def left_behind(old: Original) -> list[str]:
    home = old.path.parent / "home"
    return [str(path) for path in home.rglob("*")] if home.exists() else []


def test_old_keys_only_read_and_new_ones_are_made(tmp_path: Path) -> None:
    old = install(tmp_path, ours(70))
    before = old.contents()
    home, told = made(old)
    with opened(home) as (store, found):
        keys = {key.alias: key for key in found.keys if key.group == GROUP}
        assert {name: store.ring.open_key(key).reveal() for name, key in keys.items()} == old.keys
        assert {key.state for key in keys.values()} == {KeyState.PROCESS_ONLY}
        assert [key.state for key in found.keys if key.group == "default"] == [KeyState.READY] * 4
        groups = {group.name: (group.is_default, group.on_exhaustion) for group in found.groups}
        assert groups == {"default": (True, OnExhaustion.REFILL), GROUP: (False, OnExhaustion.REFUSE)}
        assert {drive.serial: drive.state for drive in found.drives} == dict.fromkeys(
            SERIALS, DriveState.ACCEPTED
        )
        records = [link.record for link in store.iterate_audit()]
    assert {(each.actor, each.outcome) for each in records} == {("init", Outcome.SUCCESS)}
    imported = {each.alias for each in records if each.event == "key.import"}
    assert imported == set(old.keys)
    assert [each.drive_serial for each in records if each.event == "drive.enrol"] == [*SERIALS]
    (summary,) = [each.message for each in records if each.event == "server.takeover"]
    assert summary == f"70 keys and 2 drives from {old.path}"
    assert verify(home, read_public_key(home.audit_key)).intact
    assert old.contents() == before
    assert told.report


def test_settings_are_taken_over_and_no_secret_is(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    old.set("TransportListener.tcp.port", "13801")
    old.set("TransportListener.ssl.port", "1443")
    home, _ = made(old, given={"Audit.handler.file.size": "5"})
    settings = Settings.load(home.config, {})
    assert settings["TransportListener.tcp.port"] == 13801
    assert settings["TransportListener.ssl.port"] == 1443
    assert settings["Audit.handler.file.size"] == 5
    assert settings["config.drivetable.file.url"] == ""
    assert settings.unknown == {}
    text = home.config.read_text(encoding="iso-8859-1")
    assert "maximum.threads=200" in text
    secrets = [*PASSWORDS, old.password, *(key.hex() for key in old.keys.values())]
    for path in (home.config, home.takeover):
        assert [secret for secret in secrets if secret.encode() in path.read_bytes()] == [], path


def test_the_report_is_in_the_home_and_says_all_of_it(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    (old.path / "listdrives.txt").write_text(
        "Drive entries: 1\nSerialNumber = A\n Symrec = KEY1\n Colour = blue\n WWN = 5\n"
    )
    old.set("symmetricKeySet", "KEY1-3,KEY9-10")
    old.set("what.is.this", "7")
    home, told = made(old)
    assert home.takeover.read_text().splitlines() == [*told.report]
    text = " ".join(home.takeover.read_text().split())
    for said in (
        f"3 keys of EKMKeys.jck, into group migrated: {alias(1)} to {alias(3)}",
        "1 drives of listdrives.txt: A",
        "maximum.threads = 200: Drives are served",
        "Server.password: a password is never copied",
        "what.is.this: it is none of",
        "symmetricKeySet = KEY1-3,KEY9-10: these keys only read new keys come from group default",
        f"ATTENTION: EKMKeys.jck does not have {alias(9)}, {alias(16)}: is it the newest copy?",
        "drive A had KEY1 as its own: it gets new keys of group default",
        "listdrives.txt, line 4: 'Colour' was not understood",
        "WWN in listdrives.txt: each drive tells that itself when it first asks",
        "KeyGroups.xml: key groups: their form was never published",
        "port 3801 as key server",
        "qekm keys list --group migrated",
    ):
        assert said in text, said
    assert "ATTENTION" not in " ".join(made(install(tmp_path / "other", ours()))[1].report)


def test_a_key_set_that_is_a_group_is_the_default_group_here(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    old.set("symmetricKeySet", "tapes")
    home, told = made(old)
    assert Settings.load(home.config, {})["symmetricKeySet"] == "tapes"
    with opened(home) as (_, found):
        assert [group.name for group in found.groups if group.is_default] == ["tapes"]
    assert "  symmetricKeySet = tapes: a new group of this name, which new keys come from" in told.report


@pytest.mark.parametrize(
    ("key_set", "given", "group"),
    [("tapes", {}, "tapes"), ("KEY1-3", {}, "default"), ("KEY1-3", {"symmetricKeySet": "new"}, "new")],
)
def test_a_drive_of_a_csv_file_names_a_group_that_will_be_there(
    tmp_path: Path, key_set: str, given: dict[str, str], group: str
) -> None:
    old = install(tmp_path, ours())
    old.set("symmetricKeySet", key_set)
    (old.path / "listdrives.txt").unlink()
    (old.path / "drives.csv").write_text("serial,group\nA,other\n")
    with pytest.raises(BadArgument, match=r"drives.csv: line 2: no group is called 'other'"):
        made(old, given=given)
    assert left_behind(old) == []
    (old.path / "drives.csv").write_text(f"serial,group\nA,{group}\n")
    home, _ = made(old, given=given)
    with opened(home) as (_, found):
        assert [(drive.serial, drive.group) for drive in found.drives] == [("A", group)]


def test_a_group_that_cannot_be_here_is_named_and_left(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    old.set("symmetricKeySet", "my tapes")
    home, told = made(old)
    assert Settings.load(home.config, {})["symmetricKeySet"] == "default"
    assert "  symmetricKeySet = my tapes: no group can have this name here" in told.report


def test_new_keys_have_no_group_in_common_with_the_old_ones(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    old.set("symmetricKeySet", GROUP)
    with pytest.raises(BadArgument, match="not for new ones") as caught:
        made(old)
    assert "--property symmetricKeySet" in caught.value.advice
    assert left_behind(old) == []
    made(old, given={"symmetricKeySet": "tapes"})


def test_keys_may_have_a_password_of_their_own(tmp_path: Path) -> None:
    old = install(tmp_path, ours(), other_password=True)
    with pytest.raises(BadPassword, match="the keystore's password does not open the keys") as caught:
        made(old, Takeover(taken(old).original, Secret(old.password.encode())))
    assert "--key-password-file" in caught.value.advice
    with pytest.raises(BadPassword, match="the password of the keys does not open"):
        made(old, taken(old, key_password="wrong horse"))
    assert left_behind(old) == []
    home, _ = made(old)
    assert home.takeover.exists()


def entries(old: Original, *more: jceks.Key | jceks.TrustedCertificate) -> None:
    """Add entries to the keystore of an installation."""
    keys = [jceks.SecretKey(name, 0, "AES", Secret(material)) for name, material in old.keys.items()]
    old.keystore.write_bytes(jceks.write([*keys, *more], Secret(old.password.encode()), iterations=1))


def test_what_no_tape_was_written_with_is_left_and_named(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    mac = jceks.SecretKey("mac", 0, "HmacSHA256", Secret(os.urandom(32)))
    short = jceks.SecretKey("short", 0, "AES", Secret(os.urandom(16)))
    unfit = jceks.SecretKey("no name for a tape", 0, "AES", Secret(os.urandom(32)))
    entries(old, mac, short, unfit, jceks.TrustedCertificate("root", 0, b"der"))
    _, told = made(old)
    text = "\n".join(told.report)
    for said in (
        "3 keys of EKMKeys.jck",
        "the key mac: this is no AES-256 key",
        "the key short: this is no AES-256 key",
        "the key no name for a tape: this is no name of a key that tape drives use",
        "1 other entries of EKMKeys.jck",
    ):
        assert said in text, said


def test_a_keystore_without_any_key_for_tapes_is_refused(tmp_path: Path) -> None:
    old = install(tmp_path, ours(0))
    with pytest.raises(BadFile, match="holds no key that tapes are written with"):
        made(old)
    assert left_behind(old) == []


def test_two_keys_that_a_tape_could_not_tell_apart_are_refused(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    stored = jceks.parse(old.keystore.read_bytes(), Secret(old.password.encode()))
    first, second, _ = jceks.secret_keys(stored)
    twin = jceks.ProtectedKey(first.alias.upper(), 0, second.kind, second.cover)
    # Java never writes such names, and this program does not either: the aliases are exchanged in the bytes.
    data = jceks.serialize(
        [first, jceks.ProtectedKey("x" * 21, 0, second.kind, second.cover)], Secret(b"x" * 9)
    )
    body = data[:-20].replace(b"x" * 21, twin.alias.encode())
    from tests.qekm.interchange.jceks.making import signed

    old.keystore.write_bytes(signed(body, old.password))
    with pytest.raises(BadFile, match=f"two keys are called {alias(1)} on tape"):
        made(old)
    assert left_behind(old) == []


# What is wrong is told, and nothing is left.


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes((content[place] ^ 1,)) + content[place + 1 :]


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda content: content[:-1], BadFile, "cut off"),
        (lambda content: content[: len(content) // 2], BadFile, "cut off"),
        (lambda content: content[:3], BadFile, "not a JCEKS keystore"),
        (lambda content: flipped(content, len(content) - 1), BadPassword, "does not open the keystore"),
        (lambda content: content + b"\0", BadFile, "1 bytes too many"),
        (lambda content: b"\xfe\xed\xfe\xed" + content[4:], BadFile, "looks like JKS"),
        (lambda _content: os.urandom(3_000), BadFile, "not a JCEKS keystore"),
    ],
)
def test_a_keystore_that_is_damaged_is_named_and_nothing_is_made(
    tmp_path: Path, spoil: Callable[[bytes], bytes], error: type[QekmError], said: str
) -> None:
    old = install(tmp_path, ours())
    old.keystore.write_bytes(spoil(old.keystore.read_bytes()))
    with pytest.raises(error, match=said) as caught:
        made(old)
    assert str(old.keystore) in caught.value.message
    assert exit_code(caught.value) == 2
    assert left_behind(old) == []


def test_no_bit_can_be_flipped_unnoticed(tmp_path: Path) -> None:
    old = install(tmp_path, ours(1))
    taking = taken(old)
    content = taking.original.content
    taking.open()
    for place in range(len(content)):
        altered = replace(taking.original, content=flipped(content, place))
        with pytest.raises(QekmError) as caught, Takeover(altered, Secret(old.password.encode())) as other:
            other.open()
        assert str(old.keystore) in caught.value.message


def test_a_wrong_password_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    with pytest.raises(BadPassword, match="the password does not open the keystore"):
        made(old, taken(old, "wrong horse"))
    assert left_behind(old) == []


def test_one_key_that_cannot_be_opened_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    stored = jceks.parse(old.keystore.read_bytes(), Secret(old.password.encode()))
    first, second, third = jceks.secret_keys(stored)
    another = jceks.protect(
        jceks.SecretKey(second.alias, 0, "AES", Secret(os.urandom(32))),
        Secret(b"another horse"),
        iterations=1,
    )
    old.keystore.write_bytes(jceks.serialize([first, another, third], Secret(old.password.encode())))
    with pytest.raises(BadPassword, match=f"does not open the key '{second.alias}'") as caught:
        made(old)
    assert "qekm keys import" in caught.value.advice
    assert left_behind(old) == []


def test_what_is_wrong_with_the_new_one_is_told_before_any_key_is_opened(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    taking = taken(old)
    with pytest.raises(NoBackupTarget):
        made(old, taking, given={"keystore.protect": "backup"})
    assert taking.left == [] and taking._offers == []
    assert left_behind(old) == []


def test_no_key_file_is_made_elsewhere_if_the_keystore_cannot_be_opened(tmp_path: Path) -> None:
    old = install(tmp_path, ours(), other_password=True)
    with pytest.raises(BadPassword):
        made(old, taken(old, key_password="wrong horse"), means=Means(key_file=tmp_path / "key"))
    assert not (tmp_path / "key").exists()


def test_secrets_are_wiped_when_they_were_used_and_when_something_fails(tmp_path: Path) -> None:
    old = install(tmp_path, ours())
    taking = taken(old)
    with taking:
        taking.open()
        held = [offer.material for offer in taking._offers]
        assert all(any(each.reveal()) for each in held)
    assert not any(any(each.reveal()) for each in [*held, taking._password])
    taking = taken(old)
    made(old, taking)
    assert taking.aliases
    assert not any(any(offer.material.reveal()) for offer in taking._offers)
