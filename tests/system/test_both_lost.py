"""The drill of docs/operations.md for the day on which both servers are lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.configuration.settings import amend
from qekm.dkp.codes import Ask
from qekm.v1.drives_pb2 import CreateAuthorityRequest
from qekm.v1.server_pb2 import GetStatusRequest
from qekm_gateway.simulator.anchors import Anchors, load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.system.command import ask_qekm, run_qekm
from tests.system.joining import PASSWORD, Inviting
from tests.system.processes import Estate
from tests.waiting import wait_for

KEYS = 16


def ready(estate: Estate) -> int:
    """Return how many keys of its own a server may give out."""
    with estate.client() as client:
        return int(client.server.GetStatus(GetStatusRequest()).ready_key_count)


def joined(inviting: Inviting, name: str) -> Estate:
    """Have a new server join and start it."""
    file, own = inviting.invite(name)
    with inviting.joining(file, own, name) as joining:
        done = inviting.accept(name, joining.wait_waiting())
        assert done.returncode == 0, done.stderr
        assert joining.wait() == 0, joining.said()
    estate = Estate(inviting.folder / name)
    estate.start()
    estate.wait_gateway()
    return estate


def served(estate: Estate, drive: Drive, anchors: Anchors, errand: Errand) -> tuple[bytes, bytes]:
    """Return DKi and material of the key that a drive is given at one server."""
    servers = [Server("127.0.0.1", estate.ports["tcp"])]
    drive.clear()
    key = Library("LIB1", [drive], servers, anchors, os.urandom, now_us).request(drive.serial, errand).key
    assert key is not None
    return key.dki, key.material


def written(estate: Estate, drive: Drive, anchors: Anchors, volser: str) -> tuple[bytes, bytes]:
    """Return DKi and material of a new cartridge's key."""
    return served(estate, drive, anchors, Errand(Ask.CREATE, volser, os.urandom(16)))


def assert_reads(estate: Estate, drive: Drive, anchors: Anchors, keys: list[tuple[bytes, bytes]]) -> None:
    """Have a drive read every cartridge at one server."""
    for dki, material in keys:
        errand = Errand(Ask.ACQUIRE, "E00001L4", os.urandom(16), "LIB1", dki=dki)
        assert served(estate, drive, anchors, errand) == (dki, material)


def rehearse(folder: Path, first: Estate, second: Estate, password: Path) -> Estate:
    """Restore the second server's backup while both live; it harms none until it is told to."""
    second.stop()
    (folder / "of-b").mkdir()  # servers have targets of their own: each takes the other's for its own future
    amend(second.home.config, {"backup.target": str(folder / "of-b"), "backup.sameDisk": "true"})
    second.start()
    wait_for(lambda: run_qekm(first.home, "peers", "sync").returncode == 0, "the stores agree")
    done = run_qekm(second.home, "backup", "create")
    assert done.returncode == 0, done.stderr
    backups = ask_qekm(second.home, "backup", "list")["backups"]
    newest = max(backups, key=lambda row: str(row["create_time"]))
    own = folder / "rehearsal-backups"
    own.mkdir()
    copy = Estate(folder / "rehearsal")
    words = ("--password-file", str(password), "--property", f"backup.target={own}")
    file = str(Path(newest["target"]) / newest["name"])
    done = run_qekm(copy.home, "backup", "restore", file, *words)
    assert done.returncode == 0, done.stderr
    copy.start()
    copy.wait_gateway()
    assert "keeps apart from server: qekm peers rejoin" in run_qekm(copy.home, "server", "status").stdout
    # What calls each few seconds would have called by now.
    assert run_qekm(first.home, "peers", "sync").returncode == 0, "the two that serve have lost each other"
    seen = Inviting(copy, folder).peers()["server"]
    assert (seen["apart"], seen["connected"]) == (True, False)
    # The control: that there was something to keep from.
    assert run_qekm(copy.home, "peers", "rejoin", "--yes").returncode == 0
    wait_for(lambda: Inviting(copy, folder).peers()["server"]["connected"], "it never took its place")
    return copy


def test_both_servers_are_lost_and_both_are_there_again(tmp_path: Path) -> None:
    backups, password = tmp_path / "backups", tmp_path / "password"
    backups.mkdir()
    password.write_text(f"{PASSWORD}\n")
    place = {"backup__target": str(backups), "backup__sameDisk": "true"}
    words = ("--host", "127.0.0.1", "--password-file", str(password))
    estates = [Estate.make(tmp_path / "a", *words, keys=KEYS, twoPerson="off", **place)]
    (first,), authority = estates, make_authority(now_us())
    try:
        first.start()
        first.wait_gateway()
        with first.client() as client:
            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        drive, anchors = make_drive(authority, "001300000392", now_us()), load_anchors([], [first.home.trust])
        estates.append(second := joined(Inviting(first, tmp_path), "b"))
        wait_for(lambda: ready(first) == KEYS and ready(second) == KEYS, "both have keys of their own")
        keys = [written(first, drive, anchors, "A00001L4"), written(second, drive, anchors, "B00001L4")]
        done = run_qekm(first.home, "backup", "create")
        assert done.returncode == 0, done.stderr
        newest = max(ask_qekm(first.home, "backup", "list")["backups"], key=lambda row: row["create_time"])
        estates.append(rehearse(tmp_path, first, second, password))

        for lost in estates:
            lost.close()
            shutil.rmtree(lost.home.path)

        new = Estate(tmp_path / "c")
        estates.append(new)
        done = run_qekm(
            new.home, "backup", "restore", str(backups / newest["name"]), "--password-file", str(password)
        )
        assert done.returncode == 0, done.stderr
        new.start()
        new.wait_gateway()
        assert_reads(new, drive, anchors, keys)  # before anything else: the drives wait
        rows = Inviting(new, tmp_path).peers()
        assert {name: row["state"] for name, row in rows.items()} == {"server": "joined", "b": "joined"}
        Inviting(new, tmp_path).remove("b")
        estates.append(other := joined(Inviting(new, tmp_path), "d"))
        wait_for(lambda: ready(new) >= KEYS and ready(other) >= KEYS, "both have new keys")
        keys += [written(new, drive, anchors, "C00001L4"), written(other, drive, anchors, "D00001L4")]
        wait_for(lambda: run_qekm(new.home, "peers", "sync").returncode == 0, "the stores agree")
        assert_reads(new, drive, anchors, keys)
        assert_reads(other, drive, anchors, keys)
        assert len({dki for dki, _ in keys}) == len(keys)
    finally:
        for estate in estates:
            estate.close()
