"""`qekm peers` against a service in memory; real servers are in tests/system/test_peers.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm.v1 import peers_pb2 as pb

from .conftest import Qekm
from .fake_service import FakeService
from .fake_service.peers import OTHERS, OWN, other, own
from .terminal import typed_to_qekm

WAITING = pb.Peer(name="b", state=pb.PEER_STATE_INVITED, waiting=True, spki_sha256=OTHERS)
TELL = (
    "from tests.cli.fake_service.peers import own, OTHERS\n"
    "from qekm.v1 import peers_pb2 as pb\n"
    "waiting = pb.Peer(name='b', state=pb.PEER_STATE_INVITED, waiting=True, spki_sha256=OTHERS)\n"
    "service.peers.peers = [own(), waiting]\n"
)


@pytest.fixture
def password(tmp_path: Path) -> str:
    """Return the file of a keystore's password."""
    path = tmp_path / "password"
    path.write_text("a long way home\n")
    return str(path)


def test_an_invitation_is_written_for_its_owner_only(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "b.invitation"
    told = qekm("peers", "invite", "b", "--host", "ekm2", "--own-address", "ekm1:443", "--output", str(file))
    assert (told.code, told.lines[0]) == (0, f"invited b until 2027-01-16T08:00:00Z: {file}")
    assert told.lines[1].endswith(" 1c1d 1e1f")
    assert file.read_bytes() == b"an invitation"
    assert file.stat().st_mode & 0o777 == 0o600
    assert service.peers.invited == [
        pb.InvitePeerRequest(name="b", hosts=["ekm2"], address="ekm2:443", own_address="ekm1:443")
    ]


def test_an_invitation_is_not_written_over_another_file(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "b.invitation"
    file.write_text("mine")
    assert qekm("peers", "invite", "b", "--output", str(file)).code == 2
    assert (file.read_text(), service.peers.invited) == ("mine", [])


def test_a_restored_server_takes_its_place_only_when_that_was_confirmed(service: FakeService) -> None:
    rows = "service.peers.peers = [own(), other(apart=True)]\n"
    before = "from tests.cli.fake_service.peers import own, other\n" + rows
    asked = "print([peer.apart for peer in service.peers.peers])"
    code, screen = typed_to_qekm(["peers", "rejoin"], ["n"], before, asked)
    assert (code, "among b?" in screen, "[False, True]" in screen) == (1, True, True)
    code, screen = typed_to_qekm(["peers", "rejoin"], ["y"], before, asked)
    assert (code, "exchanged with b" in screen, "[False, False]" in screen) == (0, True, True)


def test_a_server_that_keeps_apart_from_nobody_has_nothing_to_rejoin(
    qekm: Qekm, service: FakeService
) -> None:
    service.peers.peers = [own(), other()]
    assert qekm("peers", "rejoin", "--yes").code == 6


@pytest.mark.parametrize("address", ["ekm2", "ekm2:0", ":443"])
def test_an_address_without_host_and_port_is_refused(
    qekm: Qekm, service: FakeService, tmp_path: Path, address: str
) -> None:
    words = ("peers", "invite", "b", "--address", address, "--output", str(tmp_path / "b"))
    assert (qekm(*words).code, service.peers.invited) == (2, [])


def test_a_server_is_accepted_by_the_fingerprint_that_it_shows(
    qekm: Qekm, service: FakeService, password: str
) -> None:
    service.peers.peers = [own(), WAITING]
    shown = " ".join(OTHERS.hex()[start : start + 4] for start in range(0, 64, 4))
    told = qekm("peers", "accept", "b", "--fingerprint", shown, "--password-file", password)
    assert (told.code, told.out) == (0, "b is a server of the estate; there: qekm server start\n")
    (request,) = service.peers.accepted
    assert (request.spki_sha256, request.proof.password) == (OTHERS, b"a long way home")
    told = qekm("peers", "accept", "b", "--fingerprint", OWN.hex(), "--password-file", password)
    assert (told.code, len(service.peers.accepted)) == (7, 1)


def test_nobody_is_accepted_who_does_not_wait(qekm: Qekm, service: FakeService, password: str) -> None:
    told = qekm("peers", "accept", "b", "--fingerprint", OTHERS.hex(), "--password-file", password)
    assert (told.code, service.peers.accepted) == (6, [])
    assert "qekm: hint: run there: qekm peers join INVITATION\n" in told.err


def test_a_person_compares_both_fingerprints_and_gives_the_password() -> None:
    code, screen = typed_to_qekm(
        ["peers", "accept", "b"], ["y", "a long way home"], TELL, "print(len(service.peers.accepted))"
    )
    assert code == 0, screen
    assert "0001 0203 0405" in screen
    assert "2021 2223 2425" in screen
    assert screen.rstrip().endswith("\n1")


def test_who_does_not_see_the_same_accepts_nobody() -> None:
    code, screen = typed_to_qekm(["peers", "accept", "b"], ["n"], TELL, "print(len(service.peers.accepted))")
    assert (code, "the fingerprints were not confirmed" in screen) == (7, True)


def test_the_list_tells_who_waits_and_which_one_answers(qekm: Qekm, service: FakeService) -> None:
    service.peers.peers = [own(), other(name="c"), WAITING]
    lines = [line.split() for line in qekm("peers", "list").lines]
    assert [line[:3] for line in lines[1:2]] == [["server", "(this", "one)"]]
    assert [line[:3] for line in lines[2:]] == [["c", "joined", "secondary"], ["b", "waiting", "-"]]


def test_status_shows_every_link_and_ends_with_5_for_one_that_is_not_well(
    qekm: Qekm, service: FakeService
) -> None:
    assert qekm("peers", "status").out == "this server is the only one of its estate\n"
    service.peers.peers = [own(), other()]
    told = qekm("peers", "status")
    assert (told.code, told.lines[:3]) == (
        0,
        [
            "server (this one)  primary  ekm1:443",
            "b  secondary  ekm2:443  connected",
            "  has yet to get  1,234 records, 2.2 s",
        ],
    )
    service.peers.peers = [own(), other(connected=False, last_error="no route")]
    told = qekm("peers", "status")
    assert told.code == 5
    assert "AWAY, last heard of 2027-01-15T08:00:00Z" in told.out
    assert "  last error      no route, -" in told.lines
    service.peers.peers = [own(), other(differences=["keys 00ff"])]
    told = qekm("peers", "status")
    assert (told.code, told.lines[-1]) == (5, "  DIFFERS         keys 00ff")
    assert qekm("peers", "status", "--json").document["peers"][1]["differences"] == ["keys 00ff"]


def test_the_server_s_status_has_a_line_for_each(qekm: Qekm, service: FakeService) -> None:
    service.peers.peers = [own(), other()]
    told = qekm("server", "status", "--target", "ekm1:3802")
    assert "server   server (this one), primary" in told.lines
    line = "server   b, secondary, connected, has yet to get 1,234 records (2.2 s)"
    assert line in told.lines
    document = qekm("server", "status", "--json", "--target", "ekm1:3802").document
    assert [row["name"] for row in document["peers"]] == ["server", "b"]


def test_a_server_is_removed_once_it_was_said_twice(qekm: Qekm, service: FakeService) -> None:
    service.peers.peers = [own(), other()]
    told = qekm("peers", "remove", "b", "--yes")
    assert (told.code, told.out) == (0, "b is no server of the estate any more\n")
    assert qekm("peers", "remove", "b", "--yes").code == 3
    code, _ = typed_to_qekm(["peers", "remove", "b"], ["n"], TELL, "assert len(service.peers.peers) == 2")
    assert code == 1


def test_sync_tells_what_was_compared(qekm: Qekm, service: FakeService) -> None:
    assert qekm("peers", "sync").code == 6
    service.peers.peers = [own(), other(), other(name="c", differences=["drives 0013"])]
    told = qekm("peers", "sync", "--repair")
    assert (told.code, service.peers.repaired) == (5, [True])
    assert told.lines == ["b: the same, as of 2027-01-15T08:00:00Z", "c: DIFFERS", "  drives 0013"]
