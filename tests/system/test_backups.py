"""Backups with the real programs: made by themselves, killed, restored, read by a drive as before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.errors import BackupFailed, QekmError, ReadOnly
from qekm.home import Home
from qekm.model import BackupState, KeyState
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from qekm.v1 import backups_pb2, keystore_pb2, server_pb2
from qekm.v1.slots_pb2 import Proof
from qekm_gateway.simulator.anchors import load_anchors
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.faults.site import working
from tests.system.command import ask_qekm, run_qekm
from tests.system.processes import Estate, Process, made, run_server

STATUS = server_pb2.GetStatusRequest()
CREATE = backups_pb2.CreateBackupRequest()
PATIENCE_S = 90.0


@contextmanager
def protected(path: Path, keys: int = 32, **properties: str) -> Iterator[Estate]:
    """Make a key manager whose keys wait for a backup in a directory beside it."""
    (path / "backups").mkdir(exist_ok=True)
    wanted = {
        "keystore__protect": "backup",
        "backup__target": str(path / "backups"),
        "backup__sameDisk": "true",
        **properties,
    }
    with made(path / "home", keys=keys, **wanted) as estate:
        yield estate


def wait_ready(client: Any, count: int) -> None:
    """Wait until so many keys are READY."""
    until = time.monotonic() + PATIENCE_S
    while client.server.GetStatus(STATUS).ready_key_count < count:
        assert time.monotonic() < until, client.server.GetStatus(STATUS).degraded
        time.sleep(0.1)


def create(client: Any) -> backups_pb2.Backup:
    """Make a backup and return it."""
    backup: backups_pb2.Backup = list(client.backups.CreateBackup(CREATE, timeout=PATIENCE_S))[-1].backup
    return backup


def materials(home: Home) -> dict[str, tuple[bytes, bytes, KeyState]]:
    """Return DKi, material and state of every key of a stopped key manager, by alias."""
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        keys = [key for key in store.load().keys if key.sealed]
        return {key.alias: (key.dki, store.ring.open_key(key).reveal(), key.state) for key in keys}
    finally:
        store.close()


def test_the_keys_of_a_new_key_manager_are_backed_up_and_ready_within_seconds(tmp_path: Path) -> None:
    with protected(tmp_path, keys=1024) as estate:
        estate.start(gateway=False)
        begun = time.monotonic()
        with estate.client() as client:
            wait_ready(client, 1024)
            print(f"1,024 keys READY {time.monotonic() - begun:.1f} s after the first start")
            estate.unlock(client)
            list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=100)))
            wait_ready(client, 1124)
            rows = client.backups.ListBackups(backups_pb2.ListBackupsRequest()).backups
            assert [row.key_count for row in rows] == [1124, 1024]
        assert estate.stop() == {"server": 0}
        assert list((estate.home.path / "run").glob("backup-*")) == []


@pytest.mark.slow
def test_every_key_is_read_by_the_same_drive_from_a_restored_key_manager(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    properties = {"backup__target": str(tmp_path / "backups"), "backup__sameDisk": "true"}
    with working(tmp_path, keys=32, **properties) as site:
        library, drive = site.library(site.drives[0]), site.drives[0]
        written = [
            library.request(drive.serial, Errand(Ask.CREATE, f"E{number:05d}L4", os.urandom(16))).key
            for number in range(5)
        ]
        with site.estate.client() as client:
            backup = create(client)
        site.estate.close()
        old = materials(site.estate.home)
        new = Estate(tmp_path / "new")
        file, key_file = tmp_path / "backups" / backup.name, site.estate.home.root_key
        done = run_server("restore", file, "--home", new.home.path, "--key-file", key_file)
        assert done.returncode == 0, done.stderr
        assert "drives notice nothing" in done.stdout
        try:
            new.start()
            new.wait_gateway()
            # The anchor that the drive had all along, and the port that it knows.
            servers = [Server("127.0.0.1", site.port)]
            again = Library("LIB1", [drive], servers, site.anchors, os.urandom, now_us)
            read = 0
            for alias, (dki, material, _) in old.items():
                drive.clear()
                errand = Errand(Ask.ACQUIRE, "E00001L4", os.urandom(16), again.serial, dki=dki)
                outcome = again.request(drive.serial, errand)
                assert outcome.key is not None, alias
                assert outcome.key.material == material, alias
                read += 1
            assert read == len(old) >= 32
            fresh = []
            for number in range(20):
                drive.clear()
                errand = Errand(Ask.CREATE, f"F{number:05d}L4", os.urandom(16))
                key = again.request(drive.serial, errand).key
                assert key is not None
                fresh.append(key.alias)
            assert not set(fresh) & set(old)
            assert {key.alias for key in written if key} <= set(old)
            assert load_anchors([], [new.home.trust])
        finally:
            new.close()


@pytest.mark.slow
def test_a_backup_that_is_cut_off_by_a_kill_harms_nothing_and_is_made_again(tmp_path: Path) -> None:
    with protected(tmp_path, keys=4_000) as estate:
        for moment in ("copying", "writing", "reading", "proving"):
            estate.start(gateway=False)
            with estate.client() as client:
                answers = client.backups.CreateBackup(CREATE, timeout=PATIENCE_S)
                try:
                    for answer in answers:
                        if answer.progress.step == moment or answer.HasField("backup"):
                            break
                except QekmError:
                    pass  # the service made one by itself meanwhile, and the kill came first
                children = _children(estate.server)
                estate.kill()
            _wait_for_end(children)
        estate.start(gateway=False)
        assert list((estate.home.path / "run").glob("backup-*")) == []
        with estate.client() as client:
            wait_ready(client, 4_000)
        estate.stop()
        assert not list((tmp_path / "backups").glob(".*"))
        assert run_server("check", "--home", estate.home.path).returncode == 0


def _children(process: Process | None) -> list[int]:
    assert process is not None
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def _wait_for_end(pids: list[int]) -> None:
    """Wait until none of the processes runs: they end with the one that started them."""
    until = time.monotonic() + 3 * 5
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < until, "the proof outlives its service"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stop_does_not_wait_for_a_backup(tmp_path: Path) -> None:
    with protected(tmp_path, keys=20_000) as estate:
        estate.start(gateway=False)
        told: list[object] = []

        def ask() -> None:
            with estate.client() as client:
                try:
                    told.extend(client.backups.CreateBackup(CREATE, timeout=PATIENCE_S))
                except QekmError as error:
                    told.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while not _children(estate.server):
            time.sleep(0.05)
        children = _children(estate.server)
        assert estate.server is not None
        os.kill(estate.server.pid, signal.SIGTERM)
        assert estate.server.wait() == 0
        asking.join(10)
        _wait_for_end(children)
        assert isinstance(told[-1], QekmError)


def test_a_proof_that_is_killed_is_told_in_status_and_log(tmp_path: Path) -> None:
    with protected(tmp_path, keys=4_000, keystore__protect="none") as estate:
        estate.start(gateway=False)
        with estate.client() as client:
            answers = client.backups.CreateBackup(CREATE, timeout=PATIENCE_S)
            with pytest.raises(BackupFailed, match="killed by signal 9"):
                for answer in answers:
                    if answer.progress.step in ("reading", "proving"):
                        for child in _children(estate.server):
                            with suppress(ProcessLookupError):  # told of again when it has ended
                                os.kill(child, signal.SIGKILL)
            lines = client.server.GetStatus(STATUS).degraded
            assert any("the last backup failed: the process" in line for line in lines)
            assert estate.server is not None
            assert "a backup failed" in estate.server.said()
            create(client)
            assert not any("failed" in line for line in client.server.GetStatus(STATUS).degraded)


@pytest.mark.slow
def test_an_old_copy_is_told_by_the_backups_and_adopted(tmp_path: Path) -> None:
    """Store and anchor of yesterday are put back together, as a snapshot of the machine does."""
    with protected(tmp_path, keys=8) as estate:
        estate.start(gateway=False)
        with estate.client() as client:
            wait_ready(client, 8)
        estate.stop()
        shutil.copytree(estate.home.path, tmp_path / "yesterday")
        estate.start(gateway=False)
        with estate.client() as client:
            create(client)
            create(client)
        estate.stop()
        shutil.rmtree(estate.home.path)
        shutil.copytree(tmp_path / "yesterday", estate.home.path)
        estate.start(gateway=False)
        with estate.client() as client:
            lines = client.server.GetStatus(STATUS).degraded
            assert any("READ ONLY" in line and "a backup has seen commit" in line for line in lines)
            with pytest.raises(ReadOnly):
                create(client)
            estate.unlock(client)
            with pytest.raises(ReadOnly):
                list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=1)))
        estate.stop()
        old = materials(estate.home)
        adopted = run_server("adopt", "--home", estate.home.path, "--i-have-no-newer-store")
        assert adopted.returncode == 0, adopted.stderr
        estate.start(gateway=False)
        with estate.client() as client:
            wait_ready(client, 8)
            assert not any("READ ONLY" in line for line in client.server.GetStatus(STATUS).degraded)
        estate.stop()
        after = materials(estate.home)
        assert {after[alias][2] for alias in old} == {KeyState.QUARANTINED}
        assert {alias: after[alias][1] for alias in old} == {alias: old[alias][1] for alias in old}


@pytest.mark.root
def test_a_full_disk_fails_the_backup_and_nothing_more(tmp_path: Path) -> None:
    (small := tmp_path / "small").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        target = {"keystore__protect": "backup", "backup__target": str(small), "backup__sameDisk": "true"}
        with made(tmp_path / "home", keys=512, **target) as estate:
            estate.start(gateway=False)
            with estate.client() as client:
                with pytest.raises(BackupFailed, match="No space left"):
                    create(client)
                assert list(small.iterdir()) == []
                lines = client.server.GetStatus(STATUS).degraded
                assert any("No space left" in line for line in lines)
                subprocess.run(["mount", "-o", "remount,size=10m", str(small)], check=True)
                made_now = create(client)
                assert not made_now.independent, "memory is no second place"
                wait_ready(client, 512)
            estate.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


# As it is typed.


@pytest.mark.slow
def test_two_people_put_a_backup_in_the_place_of_the_store(tmp_path: Path) -> None:
    with protected(tmp_path, keys=8, twoPerson="on") as estate:
        estate.start(gateway=True)
        home = estate.home
        made_now = ask_qekm(home, "backup", "create", timeout_s=PATIENCE_S)
        file = tmp_path / "backups" / made_now["name"]
        ask_qekm(home, "certificates", "issue", "custodian", "bob", "--out", str(home.pki))
        time.sleep(1.1)  # a certificate's time is in seconds; bob's must be older than the request
        drill = ask_qekm(home, "backup", "drill", "--key-file", str(home.root_key), timeout_s=PATIENCE_S)
        assert drill["drill_time"]
        shown = run_qekm(home, "backup", "list").stdout.splitlines()
        assert shown[1].split()[:2] == [made_now["name"], "verified"]
        until = time.monotonic() + PATIENCE_S
        while (asked := run_qekm(home, "backup", "restore", str(file))).returncode != 6 or (
            "approvals approve" not in asked.stderr
        ):
            assert time.monotonic() < until, asked.stderr
        request = asked.stderr.split("approvals approve ")[1].split(";")[0].strip()
        assert home.running("server") is not None
        approved = run_qekm(home, "approvals", "approve", request, "--identity", "bob")
        assert approved.returncode == 0, approved.stderr
        done = run_qekm(home, "backup", "restore", str(file), timeout_s=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        assert "service stopped" in done.stderr
        assert f"restored {made_now['name']}" in done.stdout
        assert home.running("server") is None
        assert len(list(home.path.glob("store.before-restore-*"))) == 1
        estate.server = estate.gateway = None
        estate.start(gateway=False)
        with estate.client() as client:
            wait_ready(client, 8)
            told = client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest())
            assert told.epoch == 2
        again = run_qekm(home, "backup", "restore", str(file))
        assert (again.returncode, "second person" in again.stderr) == (6, True)


def test_a_restore_onto_nothing_as_it_is_typed(tmp_path: Path) -> None:
    with protected(tmp_path, keys=8) as estate:
        estate.start(gateway=False)
        with estate.client() as client:
            name = create(client).name
        file, new = tmp_path / "backups" / name, Home(tmp_path / "new")
        nothing = run_qekm(new, "backup", "restore", str(file))
        assert (nothing.returncode, "no terminal to ask on" in nothing.stderr) == (2, True)
        done = run_qekm(new, "backup", "restore", str(file), "--key-file", str(estate.home.root_key))
        assert done.returncode == 0, done.stderr
        new.require()
        assert {state for _, _, state in materials(new).values()} == {
            KeyState.QUARANTINED,
            KeyState.GENERATED,
        }


def test_a_drill_of_the_running_service_takes_a_proof_through_a_pipe_only(tmp_path: Path) -> None:
    with protected(tmp_path, keys=2_000) as estate:
        estate.start(gateway=False)
        secret = estate.home.root_key.read_bytes()
        with estate.client() as client:
            create(client)
            request = backups_pb2.DrillBackupRequest(proof=Proof(key_file=secret))
            seen: set[int] = set()
            for _ in client.backups.DrillBackup(request, timeout=PATIENCE_S):
                for pid in _children(estate.server):
                    seen.add(pid)
                    for name in ("cmdline", "environ"):
                        try:
                            content = Path(f"/proc/{pid}/{name}").read_bytes()
                        except OSError:
                            continue
                        assert secret not in content
                        assert secret.hex().encode() not in content
            assert seen
            rows = client.backups.ListBackups(backups_pb2.ListBackupsRequest()).backups
            assert rows[0].state == backups_pb2.BackupState.ValueType(BackupState.VERIFIED)
