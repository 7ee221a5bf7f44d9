"""A file is written whole or what was there is there still: full disks, foreign owners, kills."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qekm.configuration.rewriting import owner_of, rewrite
from qekm.configuration.settings import amend, read_file
from qekm.errors import BadConfiguration, FileFailed, exit_code
from tests.ordinary import NOBODY, open_to_all, python_as_ordinary, unsynced

OLD, NEW = b"old\n", b"new\n"


def kept(path: Path) -> dict[str, bytes]:
    """Return what is in a directory."""
    return {each.name: each.read_bytes() for each in path.iterdir()}


def test_a_new_file_is_there_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    rewrite(tmp_path / "x", NEW)
    assert kept(tmp_path) == {"x": NEW}
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_the_version_before_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(OLD)
    rewrite(tmp_path / "x", NEW, OLD)
    assert kept(tmp_path) == {"x": NEW, "x.1": OLD}
    rewrite(tmp_path / "x", b"newer\n", NEW)
    assert kept(tmp_path) == {"x": b"newer\n", "x.1": NEW}


@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_full_disk_loses_nothing(tmp_path: Path, room: int) -> None:
    """The limit on a file's size is as a full disk to whoever writes; so many bytes have room."""
    (tmp_path / "x").write_bytes(OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        with pytest.raises(FileFailed, match=r"cannot write .*/x: File too large") as failed:
            rewrite(tmp_path / "x", NEW, OLD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert kept(tmp_path) == {"x": OLD}
    assert failed.value.details["file"] == str(tmp_path / "x")
    assert exit_code(failed.value) == exit_code(FileFailed(""))
    rewrite(tmp_path / "x", NEW, OLD)
    assert kept(tmp_path) == {"x": NEW, "x.1": OLD}


@pytest.mark.root
def test_a_file_system_without_room_loses_nothing(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root and may not mount here")
    try:
        path = tmp_path / "KeyManagerConfig.properties"
        path.write_text("grpc.port=1\n")
        with (tmp_path / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="space"):
            while True:
                filler.write(bytes(1024))
        before = {name: text for name, text in kept(tmp_path).items() if name != "filler"}
        with pytest.raises(FileFailed, match="No space left on device"):
            amend(path, {"config.keystore.file": "x" * 4_000})
        assert {name: text for name, text in kept(tmp_path).items() if name != "filler"} == before
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match="No such file or directory"):
        rewrite(tmp_path / "none" / "x", NEW)


def test_once_a_file_is_renamed_a_sync_that_fails_is_told_and_no_refusal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The new content is in force for every reader: what undid the rest would disagree with it."""
    (tmp_path / "x").write_bytes(OLD)
    assert rewrite(tmp_path / "x", OLD) == ""
    with unsynced(tmp_path):
        told = rewrite(tmp_path / "x", NEW, OLD)
    assert told.endswith(
        "/x is written, but a loss of power may bring back the one before: Permission denied"
    )
    assert told in caplog.text
    assert kept(tmp_path) == {"x": NEW, "x.1": OLD}


def test_a_link_is_replaced_and_one_to_a_file_of_properties_is_followed(tmp_path: Path) -> None:
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "link"
    elsewhere.write_text("grpc.port=1\n")
    link.symlink_to(elsewhere)
    amend(link, {"grpc.port": "2"})
    assert (link.is_symlink(), elsewhere.read_text()) == (True, "grpc.port=2\n")
    rewrite(link, NEW)
    assert (link.is_symlink(), elsewhere.read_text(), link.read_bytes()) == (False, "grpc.port=2\n", NEW)


# Owners.


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write a file that is another's")
def test_what_root_writes_stays_the_owners(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    os.chown(path, NOBODY, NOBODY)
    rewrite(path, NEW, OLD)
    assert {each.stat().st_uid for each in tmp_path.iterdir()} == {NOBODY}
    os.chown(tmp_path, NOBODY, NOBODY)
    rewrite(tmp_path / "y", NEW)
    assert (tmp_path / "y").stat().st_uid == NOBODY
    assert owner_of(path) == "nobody"
    assert owner_of(tmp_path / "none") == ""
    os.chown(path, 4_000_111, 0)
    assert owner_of(path) == "4000111"


@pytest.mark.skipif(os.geteuid() != 0, reason="every file here is this user's own")
def test_an_ordinary_user_is_told_whose_file_it_is_that_he_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("grpc.port=1\n")
    path.chmod(0o600)
    open_to_all(tmp_path)
    told = python_as_ordinary(f"""
from pathlib import Path
from qekm.configuration.settings import Settings, amend
from qekm.errors import BadConfiguration, FileFailed, exit_code
path = Path({str(path)!r})
try:
    path.read_bytes()
except PermissionError:
    print("unreadable")
for act in (lambda: Settings.load(path, {{}}), lambda: amend(path, {{"grpc.port": "2"}})):
    try:
        act()
    except BadConfiguration as error:
        print(error.message, "|", error.advice, "|", exit_code(error))
""")
    lines = told.splitlines()
    assert lines[0] == "unreadable"
    wanted = f"cannot read {path}: Permission denied | it belongs to user root: run this as that user | 2"
    assert lines[1:] == [wanted] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="every directory here is this user's own")
def test_an_ordinary_user_cannot_change_what_he_can_read(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("grpc.port=1\n")
    path.chmod(0o644)
    open_to_all(tmp_path)
    told = python_as_ordinary(f"""
from pathlib import Path
from qekm.configuration.settings import amend
from qekm.errors import FileFailed
path = Path({str(path)!r})
print(path.read_text(), end="")
try:
    amend(path, {{"grpc.port": "2"}})
except FileFailed as error:
    print(error.message, "|", error.advice)
""")
    wanted = f"cannot write {path}: Permission denied | {path} belongs to user root: run this as that user"
    assert told.splitlines() == ["grpc.port=1", wanted]
    assert kept(tmp_path) == {path.name: b"grpc.port=1\n"}


def test_a_directory_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="Is a directory"):
        read_file(tmp_path)


# Kills.

WRITER = """
import sys
from pathlib import Path
from qekm.configuration.settings import amend
path = Path(sys.argv[1])
print("ready", flush=True)
port = 1
while True:
    port = port % 60000 + 1
    amend(path, {"dkp.stepTimeout": str(port), "dkp.idleTimeout": str(port)})
"""


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    """Two properties that are always set to the same are the same in the file and in the one before it."""
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("dkp.stepTimeout=1\ndkp.idleTimeout=1\n")
    seen = set()
    for delay_ms in (5, 11, 17, 23, 100, 400, 1_600, 6_400):
        if delay_ms > 23 and len(seen) > 1:
            break  # else this disk is slow
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(delay_ms / 1_000)
            writer.kill()
        for each in (path, path.with_name(f"{path.name}.1")):
            if each.exists():
                step, idle = each.read_text().splitlines()
                assert step.removeprefix("dkp.stepTimeout=") == idle.removeprefix("dkp.idleTimeout=")
                seen.add(step)
    assert len(seen) > 1, "nothing was written: the test shows nothing"
