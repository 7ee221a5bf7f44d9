"""`qekm-server restore`: each way of opening a backup as an option, and what is told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qekm.clock import now_us
from qekm.home import Home
from qekm.model import Slot
from qekm.sealing import KeyFileSealer, TokenSealer
from qekm.secret import Secret
from qekm.slots import opened
from qekm.v1.slots_pb2 import Proof
from tests.fakes.token import token_in
from tests.qekm.backup.site import PASSWORD, Site
from tests.system.processes import environment, run_server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("recovery") / "old")


@pytest.fixture(scope="module")
def file(site: Site) -> Path:
    """The site's one backup."""
    return site.back_up().path


def restored(file: Path, home: Path, *words: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    return run_server("restore", file, "--home", home, *words, **more)


def test_a_key_file_a_password_and_shares_each_open_it(site: Site, file: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    shares = []
    for number, mnemonic in enumerate(site.mnemonics[:2]):
        shares.append(tmp_path / f"share-{number}")
        shares[-1].write_text(f"# for somebody\n{mnemonic.upper()}\n")
    for name, words in {
        "key-file": ["--key-file", site.home.root_key],
        "password": ["--password-file", tmp_path / "password"],
        "shares": ["--shares-file", shares[0], "--shares-file", shares[1]],
    }.items():
        home = Home(tmp_path / f"home-{name}")
        done = restored(file, home.path, *words)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == f"restored {file.name} in {home.path}"
        assert f"  server anchor  {site.made.anchor.hex()}, as before: drives notice nothing" in lines
        assert "epoch 2: 8 unused keys are put aside" in done.stdout
        assert "reading: " in done.stderr and "proving: " in done.stderr
        checked = run_server("check", "--home", home.path)
        assert checked.returncode == 0, checked.stdout


def test_a_password_and_a_proof_come_through_a_pipe(site: Site, file: Path, tmp_path: Path) -> None:
    for name, option, content in (
        ("password", "--password-fd", PASSWORD.encode()),
        ("proof", "--proof-fd", Proof(key_file=site.home.root_key.read_bytes()).SerializeToString()),
    ):
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
        done = restored(file, tmp_path / f"home-{name}", option, str(reader), pass_fds=(reader,))
        os.close(reader)
        assert done.returncode == 0, done.stderr


def test_a_token_opens_it_where_its_library_and_pin_are_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_in(tmp_path / "token", monkeypatch)
    other = Site.make(tmp_path / "old")
    sealer = TokenSealer(token.place, Secret(token.pin.encode()))
    sealer.create()
    locked = other.open()
    _, root = opened(locked.locked().slots, KeyFileSealer(other.home.root_key))
    locked.close()
    other.change(Slot("pkcs11", sealer.seal(root), "pkcs11", now_us()))
    (tmp_path / "pin").write_text(token.pin + "\n")
    (tmp_path / "pin").chmod(0o600)
    module = f"keystore.pkcs11.module={token.place.module}"
    words = ["restore", other.back_up().path, "--home", tmp_path / "new", "--pin-file", tmp_path / "pin"]
    command = [sys.executable, "-m", "qekm.server", *map(str, words)]
    softhsm = environment(SOFTHSM2_CONF=os.environ["SOFTHSM2_CONF"])
    named = [*command, "--property", module, "--property", f"keystore.pkcs11.token={token.place.token}"]
    done = subprocess.run(named, capture_output=True, text=True, check=False, timeout=60, env=softhsm)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "a slot of the backup has to be opened, and nothing was given"),
        (["--key-file", "wrong"], 2, "the key file does not open this store"),
        (["--key-file", "none"], 2, "cannot be read: No such file"),
        (["--password-file", "wrong-password"], 2, "the password does not open this store"),
        (["--shares-file", "share"], 2, "2 shares are needed and 1 given: 1 more is missing"),
        (["--shares-file", "none"], 2, "cannot read"),
        (["--pin-file", "wrong"], 2, "no PKCS#11 module is named"),
        (["--key-file", "wrong", "--password-fd", "0"], 2, "not allowed with argument"),
    ],
)
def test_what_does_not_open_it_is_named_and_leaves_nothing(
    site: Site, file: Path, tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    (tmp_path / "wrong").write_bytes(os.urandom(32))
    (tmp_path / "wrong").chmod(0o600)
    (tmp_path / "wrong-password").write_text("incorrect horse battery staple")
    (tmp_path / "share").write_text(site.mnemonics[0])
    done = restored(file, tmp_path / "new", *words, cwd=tmp_path)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    new = tmp_path / "new"
    assert not new.exists() or list(new.iterdir()) == []


def test_a_file_that_is_no_backup_or_none_is_named(site: Site, file: Path, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(os.urandom(5_000))
    shutil.copy(file, tmp_path / "cut")
    os.truncate(tmp_path / "cut", 4_000)
    for path, code, told in (
        ("junk", 11, "this is no backup of Q-EKM"),
        ("cut", 11, "does not verify: it was altered or cut off"),
        ("none", 3, "there is no file"),
    ):
        done = restored(tmp_path / path, tmp_path / "new", "--key-file", site.home.root_key)
        assert (done.returncode, told in done.stderr) == (code, True), done.stderr


def test_a_backup_is_named_and_a_key_manager_that_is_there_is_not_overwritten(site: Site, file: Path) -> None:
    unnamed = run_server("restore", "--home", site.home.path)
    assert (unnamed.returncode, "name the file" in unnamed.stderr) == (2, True)
    taken = restored(file, site.home.path, "--key-file", site.home.root_key)
    assert (taken.returncode, "holds a key manager already" in taken.stderr) == (4, True)


@pytest.mark.parametrize("failpoint", ["restore.installing=exit", "restore.installed=exit"])
def test_a_restore_onto_nothing_that_is_killed_says_what_to_do(
    site: Site, file: Path, tmp_path: Path, failpoint: str
) -> None:
    home = Home(tmp_path / "new")
    words = ["restore", str(file), "--home", str(home.path), "--key-file", str(site.home.root_key)]
    command = [sys.executable, "-m", "qekm.server", *words]
    killed = subprocess.run(
        command, capture_output=True, check=False, timeout=60, env=environment(QEKM_FAILPOINT=failpoint)
    )
    assert killed.returncode == -9
    again = run_server(*words)
    if failpoint.startswith("restore.installed"):
        home.require()
        assert again.returncode == 4
    else:
        assert again.returncode == 0, again.stderr
    assert run_server("check", "--home", home.path).returncode == 0


def test_a_proof_in_another_process_takes_its_secret_from_a_pipe_only(file: Path, tmp_path: Path) -> None:
    done = run_server("backup-prove", file, "--scratch", tmp_path / "scratch", stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "through a pipe only" in done.stdout


def test_a_proof_whose_service_is_gone_before_it_begins_leaves_nothing(
    site: Site, file: Path, tmp_path: Path
) -> None:
    """The service is killed while Python starts in its child: the next start clears what it left behind."""
    heard, said = os.pipe()
    os.close(heard)
    words = ("backup-prove", str(file), "--scratch", str(tmp_path / "proof"), "--home", str(site.home.path))
    child = subprocess.Popen(
        [sys.executable, "-m", "qekm.server", *words],
        stdin=subprocess.PIPE,
        stdout=said,
        env=environment(),
    )
    os.close(said)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
