"""Making a key manager: all of it or nothing."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from qekm.clock import now_us as clock_us
from qekm.configuration.settings import Settings
from qekm.errors import (
    BadArgument,
    BadConfiguration,
    BadPassword,
    BadShares,
    HomeExists,
    NoBackupTarget,
    NotInitialised,
    QekmError,
    UnknownProperty,
)
from qekm.estate import Estate
from qekm.home import Home
from qekm.init import Made, Wanted, make
from qekm.model import KeyState, Outcome
from qekm.progress import Progress
from qekm.properties.client import CLIENT_PROPERTIES
from qekm.sealing import KeyFileSealer, PasswordSealer, Sealer, SharesSealer
from qekm.secret import Secret
from qekm.store import Store
from qekm.subject import subject_of
from qekm.trail import read_public_key, verify
from qekm.unlocking import Means, unlock

PASSWORD = "correct horse battery staple"


def made(path: Path, **wanted: object) -> tuple[Home, Made]:
    """Make a small key manager whose keys need no backup."""
    home = Home(path)
    properties = {"keystore.protect": "none"} | dict(wanted.pop("properties", {}))  # type: ignore[call-overload]
    return home, make(home, Wanted(properties=properties, **({"keys": 10} | wanted)), clock_us)  # type: ignore[arg-type]


def test_a_home_is_private_and_complete(tmp_path: Path) -> None:
    home, _ = made(tmp_path / "home")
    home.require()
    for path in [home.path, *home.path.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    names = {path.name for path in home.path.iterdir()}
    client = "ClientKeyManagerConfig.properties"
    assert names == {"KeyManagerConfig.properties", client, "root.key", "store", "pki", "run", "keymanager"}
    found = Settings.load(home.client_config, {}, CLIENT_PROPERTIES)
    assert (found["TransportListener.ssl.host"], found["TransportListener.ssl.port"]) == ("localhost", 443)


def test_the_store_holds_keys_group_secrets_and_the_first_records(tmp_path: Path) -> None:
    home, told = made(tmp_path / "home")
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        found = store.load()
        ring = store.ring
        assert [key.state for key in found.keys] == [KeyState.READY] * 10
        assert len({ring.open_key(key).reveal() for key in found.keys}) == 10
        assert [(group.name, group.is_default) for group in found.groups] == [("default", True)]
        assert store.estate_id == told.estate_id
        assert Estate.load(found.vaults, found.settings, ring).anchor == told.anchor
        records = [link.record for link in store.iterate_audit()]
    finally:
        store.close()
    assert [record.event for record in records] == ["server.init", *["certificate.issue"] * 3]
    assert {record.outcome for record in records} == {Outcome.SUCCESS}
    assert verify(home, read_public_key(home.audit_key)).intact


def test_certificates_name_their_roles_and_the_hosts_asked_for(tmp_path: Path) -> None:
    home, told = made(tmp_path / "home", hosts=("keys.example", "192.0.2.5"))
    for name, hosts in {
        "server": ("localhost", "keys.example", "127.0.0.1", "::1", "192.0.2.5"),
        "gateway": ("localhost", "keys.example", "127.0.0.1", "::1", "192.0.2.5"),
        "administrator": (),
    }.items():
        leaf = x509.load_pem_x509_certificate(home.certificate(name).read_bytes())
        subject = subject_of(leaf)
        assert (subject.estate, subject.role.name.lower(), subject.hosts) == (told.estate_id, name, hosts)
        key = load_pem_private_key(home.key(name).read_bytes(), None)
        assert key.public_key() == leaf.public_key()


def test_an_existing_key_manager_is_never_touched(tmp_path: Path) -> None:
    home, _ = made(tmp_path / "home")
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    with pytest.raises(HomeExists):
        made(tmp_path / "home")
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("part", ["root.key", "store", "pki", "KeyManagerConfig.properties"])
def test_what_could_be_a_part_of_a_key_manager_is_never_overwritten(tmp_path: Path, part: str) -> None:
    (tmp_path / part).write_text("precious")
    with pytest.raises(HomeExists, match=part):
        made(tmp_path)
    assert (tmp_path / part).read_text() == "precious"


def test_a_directory_with_other_things_in_it_keeps_them_and_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "keymanager").mkdir()
    made(tmp_path)
    assert (tmp_path / "notes").read_text() == "mine"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def opens(home: Home, sealer: Sealer) -> str:
    """Open the store and return the kinds of its slots."""
    store = Store.open(home.store, unlock(sealer))
    try:
        return " ".join(sorted(slot.kind for slot in store.load().slots))
    finally:
        store.close()


def test_a_password_alone_opens_the_store_and_no_key_file_is_made(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    home, told = made(tmp_path / "home", means=Means(password_file=file), key_file=False)
    assert told.key_file is None
    assert not home.root_key.exists()
    assert Settings.load(home.config, {})["keystore.slot"] == "password"
    assert opens(home, PasswordSealer(Secret(PASSWORD.encode()))) == "password"
    with pytest.raises(BadPassword):
        opens(home, PasswordSealer(Secret(b"incorrect horse")))


def test_key_file_password_and_shares_each_open_the_store_alone(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    home, told = made(tmp_path / "home", means=Means(password_file=file), shares=(2, 3))
    assert Settings.load(home.config, {})["keystore.slot"] == "key-file"
    assert len(told.mnemonics) == 3
    assert not any(word in repr(told) for word in told.mnemonics[0].split() if len(word) > 6)
    all_kinds = "key-file password shares"
    assert opens(home, KeyFileSealer(home.root_key)) == all_kinds
    assert opens(home, PasswordSealer(Secret(PASSWORD.encode()))) == all_kinds
    for pair in combinations(told.mnemonics, 2):
        assert opens(home, SharesSealer(pair)) == all_kinds
    with pytest.raises(BadShares):
        SharesSealer(told.mnemonics[:1])


# Where backups go.


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Give a directory on a file system of its own, made of a file; skips where none can be mounted."""
    image, place = tmp_path / "image", tmp_path / "elsewhere"
    with image.open("wb") as file:
        file.truncate(16 * 1024 * 1024)
    place.mkdir()
    for words in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(place)]):
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        found = shutil.which(words[0], path=path)
        if found is None or subprocess.run([found, *words[1:]], capture_output=True, check=False).returncode:
            pytest.skip(f"{words[0]} does not work here: it takes root and loop devices")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def protected(path: Path, **properties: str) -> Settings:
    """Make a key manager whose keys wait for a backup, and return its settings."""
    wanted = {name.replace("__", "."): value for name, value in properties.items()}
    home, _ = made(path, properties={"keystore.protect": "backup"} | wanted)
    return Settings.load(home.config, {})


def test_keys_that_wait_for_a_backup_need_somewhere_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(NoBackupTarget, match="nowhere") as caught:
        protected(tmp_path / "home")
    assert "keystore.protect=none" in caught.value.advice
    with pytest.raises(NoBackupTarget, match="is not there"):
        protected(tmp_path / "home", backup__target=str(tmp_path / "none"))
    assert not list((tmp_path / "home").iterdir())


def test_keys_that_wait_for_a_peer_only_need_no_backup(tmp_path: Path) -> None:
    assert protected(tmp_path / "home", keystore__protect="peer")["backup.target"] == ""
    with pytest.raises(NoBackupTarget, match="nowhere"):
        protected(tmp_path / "second", keystore__protect="peer+backup")


def test_a_target_on_the_same_disk_must_be_spelled_out(tmp_path: Path) -> None:
    target = tmp_path / "backups"
    target.mkdir()
    with pytest.raises(NoBackupTarget, match="own file system") as caught:
        protected(tmp_path / "home", backup__target=str(target))
    assert "backup.sameDisk=true" in caught.value.advice
    settings = protected(tmp_path / "home", backup__target=str(target), backup__sameDisk="true")
    assert settings["backup.sameDisk"]
    # A command copies them away: where they lie first does not matter.
    protected(tmp_path / "second", backup__target=str(target), backup__command="true")


def test_a_target_on_another_disk_is_taken_and_its_keys_wait(tmp_path: Path, elsewhere: Path) -> None:
    if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to write to")
    settings = protected(tmp_path / "home", backup__target=str(elsewhere))
    assert settings["backup.target"] == str(elsewhere)
    store = Store.open(Home(tmp_path / "home").store, unlock(KeyFileSealer(tmp_path / "home" / "root.key")))
    assert {key.state for key in store.load().keys} == {KeyState.GENERATED}
    store.close()


def test_a_key_file_may_lie_elsewhere_and_one_that_is_there_is_used(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "key"
    place.parent.mkdir()
    home, told = made(tmp_path / "home", means=Means(key_file=place))
    assert told.key_file == place
    assert not home.root_key.exists()
    content = place.read_bytes()
    assert Settings.load(home.config, {})["keystore.keyFile"] == str(place)
    made(tmp_path / "second", means=Means(key_file=place))
    assert place.read_bytes() == content


def test_settings_can_be_given_and_the_default_group_has_the_name_of_the_key_set(tmp_path: Path) -> None:
    home, _ = made(tmp_path / "home", properties={"symmetricKeySet": "tapes", "grpc.port": "0"})
    settings = Settings.load(home.config, {})
    assert (settings["symmetricKeySet"], settings["grpc.port"]) == ("tapes", 0)
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    assert [group.name for group in store.load().groups] == ["tapes"]
    store.close()


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"keys": -1}, BadArgument),
        ({"keys": 1_000_001}, BadArgument),
        ({"hosts": ("not a host",)}, BadArgument),
        ({"properties": {"grpc.port": "x"}}, BadConfiguration),
        ({"properties": {"no.such": "1"}}, UnknownProperty),
        ({"means": Means(password_file=Path("/nonexistent"))}, BadPassword),
        ({"means": Means(key_file=Path("/nonexistent/key"))}, BadConfiguration),
        ({"key_file": False}, BadConfiguration),
        ({"means": Means(key_file=Path("/x"), password_fd=0), "key_file": False}, BadConfiguration),
        ({"shares": (1, 3)}, BadArgument),
        ({"shares": (3, 17)}, BadArgument),
    ],
)
def test_what_cannot_be_leaves_nothing_behind(
    tmp_path: Path, wanted: dict[str, object], error: type[QekmError]
) -> None:
    with pytest.raises(error):
        made(tmp_path / "home", **wanted)
    home = tmp_path / "home"
    assert not home.exists() or list(home.iterdir()) == []


@pytest.mark.parametrize("password", ["short", "changeME", ""])
def test_a_password_that_anybody_would_try_is_refused(tmp_path: Path, password: str) -> None:
    (tmp_path / "password").write_text(password)
    with pytest.raises(BadPassword):
        made(tmp_path / "home", means=Means(password_file=tmp_path / "password"))


def test_a_killed_init_leaves_nothing_that_looks_initialised_and_the_next_one_cleans_up(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    program = [sys.executable, "-m", "qekm.server", "init", "--home", str(home.path), "--keys", "200000"]
    program += ["--property", "keystore.protect=none"]
    child = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not list(home.path.glob(".init-*/store/*")) and time.monotonic() < until:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with pytest.raises(NotInitialised):
        home.require()
    assert list(home.path.glob(".init-*"))
    made(home.path)
    home.require()
    assert not list(home.path.glob(".init-*"))


def test_what_an_init_left_that_was_cut_off_at_the_end_is_called_a_part(tmp_path: Path) -> None:
    home, _ = made(tmp_path / "home")
    home.config.unlink()
    with pytest.raises(HomeExists, match="a part of a key manager: store is there") as caught:
        made(home.path)
    assert "cut off" in caught.value.advice
    assert home.store.exists()


def test_two_inits_at_once_do_not_meet(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(HomeExists, match="another init"):
            made(tmp_path)
    finally:
        os.close(handle)


def test_progress_is_a_bar_on_a_terminal_and_a_line_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, expected in (
        (Terminal(), f"\rmaking keys [{'#' * 40}] 100% 128/128\n"),
        (io.StringIO(), "making keys: 128 of 128\n"),
    ):
        progress = Progress("making keys", 128, stream)
        for _ in range(2):
            progress.advance(64)
        assert stream.getvalue().endswith(expected)
    silent = io.StringIO()
    Progress("making keys", 0, silent)
    assert silent.getvalue() == ""
