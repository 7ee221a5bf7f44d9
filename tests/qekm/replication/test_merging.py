"""What a server does with rows of another: each as its owner has it, and nothing that does not verify."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from qekm.errors import BatchRefused, PeerRefused, UnknownKey
from qekm.estate import UNERASED
from qekm.keypair import make_key
from qekm.model import (
    BlockedKey,
    Change,
    Drive,
    DriveState,
    Entry,
    Key,
    KeyState,
    OnExhaustion,
    Partner,
    PeerState,
    Removal,
    Role,
    Setting,
)
from qekm.replication.conflicts import note, unexplained
from qekm.secret import Secret
from qekm.store import Line
from tests.fakes.replicas import START_US
from tests.fakes.telling import Two

MOUNT = ("001300000392", b"m", "VOL1")
CERTIFICATE = b"c" * 32


def keys(two: Two, count: int = 1, group: str = "refuses") -> list[Key]:
    """Have keys made here and told there."""
    made = two.here.keystore.generate(count, group)
    two.here.commit(made)
    two.settle()
    return made


def entries(changes: Sequence[Change]) -> list[Entry]:
    return [change for change in changes if isinstance(change, Entry)]


def test_a_row_that_is_known_or_was_overtaken_changes_nothing(two: Two) -> None:
    keys(two, 3)
    drive = two.here.registry.create(Drive("1", DriveState.ACCEPTED, 1))
    two.here.commit(drive)
    old = two.lines(two.here, "drives")
    two.here.commit(two.here.registry.update("1", vendor="IBM"))
    two.settle()
    assert [change for line in [*old, *two.lines(two.here)] for change in two.there.merging.take(line)] == []
    found = two.there.registry.find("1")
    assert found is not None
    assert found.vendor == "IBM"


def test_a_key_that_both_changed_is_joined_and_told_back(two: Two) -> None:
    (key,) = keys(two)
    given_out = two.here.keystore.assign(key, two.here.now_us(), MOUNT)
    two.here.commit([given_out])
    two.there.commit(two.there.keystore.retire([key.alias], KeyState.COMPROMISED))
    changes = two.tell(two.here, two.there)
    assert [entry.origin for entry in entries(changes)] == [two.there.instance], "here has to hear of it"
    two.settle()
    for server in (two.here, two.there):
        found = server.keystore.by_alias(key.alias)
        assert (found.state, found.drive_serial) == (KeyState.COMPROMISED, MOUNT[0])
    (new,) = two.here.keystore.generate(1, "refuses")
    two.here.commit([new])
    (entry,) = entries(two.tell(two.here, two.there))
    assert entry.origin == two.here.instance, "what is as it was sent is not sent back"


def test_keys_come_before_their_group_and_get_its_policy_later(two: Two) -> None:
    two.here.commit(two.here.allocator.create("tapes", OnExhaustion.REUSE))
    two.here.commit(two.here.keystore.generate(2, "tapes"))
    lines = sorted(two.lines(two.here), key=lambda line: line.table == "groups")
    for line in lines:
        two.there.disk.commit(two.there.merging.take(line))
        if line.table == "keys":
            assert two.there.allocator.knows(two.there.keystore.by_alias(line.values[1]).group)
    assert two.there.allocator.find("tapes").on_exhaustion is OnExhaustion.REUSE
    two.settle()


def test_a_group_that_holds_keys_survives_its_removal_elsewhere(two: Two) -> None:
    two.here.commit(two.here.allocator.create("tapes", OnExhaustion.REUSE))
    two.settle()
    two.there.commit(two.there.keystore.generate(1, "tapes"))
    two.here.commit(two.here.allocator.delete("tapes"))
    two.settle()
    for server in (two.here, two.there):
        assert server.allocator.find("tapes").on_exhaustion is OnExhaustion.REUSE
    two.here.commit(two.here.allocator.create("empty", OnExhaustion.REUSE))
    two.settle()
    two.here.commit(two.here.allocator.delete("empty"))
    two.settle()
    assert not two.there.allocator.knows("empty")


def test_of_two_defaults_the_first_by_name_is_it_on_both(two: Two) -> None:
    two.here.commit(two.here.allocator.update("reuses", is_default=True))
    two.there.commit(two.there.allocator.update("refuses", is_default=True))
    two.settle()
    assert [server.allocator.default().name for server in (two.here, two.there)] == ["refuses"] * 2
    two.here.commit(two.here.allocator.update("refills", is_default=True))
    two.settle()
    marked = [group.name for group in two.there.allocator.page() if group.is_default]
    assert marked == ["refills"], "the next change of the mark puts it right"


def test_one_organisation_taken_in_twice_is_one_partner(two: Two) -> None:
    for server, name in ((two.here, "zeta"), (two.there, "acme")):
        partner = Partner(name, b"der", CERTIFICATE, b"", 9, 9)
        server.partners.take(partner)
        server.commit([partner])
    two.settle()
    for server in (two.here, two.there):
        assert [partner.name for partner in server.partners.page()] == ["acme"]


def test_drives_keys_that_are_refused_and_accounts_come_and_go(two: Two) -> None:
    here, there = two.here, two.there
    here.commit([*here.registry.create(Drive("1", DriveState.ACCEPTED, 1)), BlockedKey(CERTIFICATE, 1)])
    here.commit([here.accounts.create("operator/ann", b"v")])
    two.settle()
    assert there.registry.find("1") is not None
    assert there.registry.is_blocked(CERTIFICATE)
    session = there.sessions.open("operator/ann", "1")
    here.commit([here.accounts.fail("operator/ann")])
    two.settle()
    there.sessions.check("operator/ann", session)
    here.commit([here.accounts.change("operator/ann", b"w")])
    two.settle()
    assert there.sessions.left_of(there.sessions._place("operator/ann", session)) == 0
    here.commit([*here.registry.delete("1"), Removal(BlockedKey, CERTIFICATE)])
    here.commit([here.accounts.delete("operator/ann")])
    two.settle()
    assert there.registry.find("1") is None
    assert not there.registry.is_blocked(CERTIFICATE)
    assert "operator/ann" not in there.accounts


def test_a_drive_that_is_served_during_a_cut_takes_no_change_of_its_entry_back(two: Two) -> None:
    here, there = two.here, two.there
    here.commit(here.registry.create(Drive("1", DriveState.ACCEPTED, 1)))
    two.settle()
    there.commit(there.registry.update("1", vendor="IBM"))
    for _ in range(3):
        drive = here.registry.find("1")
        assert drive is not None
        here.commit([here.registry.touch(drive)])
    two.settle()
    assert [server.registry.get("1").vendor for server in (here, there)] == ["IBM"] * 2
    here.commit([here.registry.touch(here.registry.get("1"))])
    two.settle()
    assert there.registry.get("1").last_seen_time_us == here.registry.get("1").last_seen_time_us > 0
    here.load()
    there.commit(there.registry.delete("1"))
    here.commit([here.registry.touch(here.registry.get("1"))])
    two.settle()
    assert here.registry.find("1") is there.registry.find("1") is None


def test_a_pending_drive_is_in_the_place_of_one_that_was_removed(two: Two) -> None:
    two.here.commit(two.here.registry.create(Drive("1", DriveState.ACCEPTED, 1)))
    two.settle()
    pending = Drive("1", DriveState.PENDING, 9)
    two.here.registry.take(pending)
    two.here.commit([pending])
    two.settle()
    assert two.there.registry.find("1") is None
    assert two.there.registry.get("1") == pending


def test_a_new_authority_issues_at_both_and_who_was_revoked_is_refused_at_both(two: Two) -> None:
    here, there = two.here, two.there
    record = next(each for each in here.certificates if each.name == "gateway")
    _, revoked = here.certificates.revoke(record.serial)
    here.commit([*revoked, *here.certificates.start_rollover()])
    two.settle()
    assert record.serial in there.certificates.denied
    assert there.certificates.issuer.certificate == here.certificates.issuer.certificate
    assert there.certificates.rolling
    assert there.certificates.refresh_server(), "its own leaf is of the old authority"
    _, issued = here.certificates.issue(make_key().public_key(), Role.ADMINISTRATOR, "ann", (), 0)
    here.commit([*issued, *here.certificates.finish_rollover(force=True)])
    two.settle()
    assert not there.certificates.rolling
    assert there.certificates.signer == here.certificates.signer


def test_what_another_server_destroyed_is_to_be_erased_and_buried_here_too(two: Two) -> None:
    (key,) = keys(two)
    heard: list[Key] = []
    two.there.merging.watch("keys", heard.append)
    two.here.commit([two.here.keystore.erase(key, two.here.now_us())])
    changes = two.tell(two.here, two.there)
    assert Setting(UNERASED, "yes") in changes
    assert [each.state for each in heard] == [KeyState.DESTROYED]
    with pytest.raises(UnknownKey):
        two.there.keystore.open(two.there.keystore.by_alias(key.alias))


def test_two_keys_of_one_alias_are_named_and_both_stay(two: Two) -> None:
    for server, material in ((two.here, b"1" * 32), (two.there, b"2" * 32)):
        server.commit([server.keystore.take_in("OLD1", Secret(material), "refuses")])
    two.tell(two.here, two.there)
    two.tell(two.there, two.here)
    for server, material in ((two.here, b"1" * 32), (two.there, b"2" * 32)):
        assert server.keystore.open(server.keystore.by_alias("old1")).reveal() == material
        assert list(server.merging.conflicts) == ["OLD1"]
        ids = [f"keys {each.keystore.by_alias('old1').key_id.hex()}" for each in (two.here, two.there)]
        assert unexplained(server.settings, [*ids, "groups G"]) == ("groups G",), "drives are served on"
        server.load()
        assert list(server.merging.conflicts) == ["OLD1"], "the other key is not sent again"


def test_two_keys_of_one_alias_that_drives_are_given_are_no_known_conflict(two: Two) -> None:
    """As two copies of one server make them: that stops both."""
    (own,) = keys(two)
    assert note({}, own, replace(own, key_id=bytes(16))) is None
    archived = replace(own, state=KeyState.PROCESS_ONLY)
    assert note({}, archived, replace(own, key_id=bytes(16))) is None
    assert note({}, archived, replace(archived, key_id=bytes(16))) is not None


def test_a_page_of_keys_does_not_hold_drives_up(two: Two) -> None:
    """64 rows are a batch; it is decided in one turn of the event loop."""
    two.here.commit(two.here.keystore.generate(640, "refuses"))
    lines = two.lines(two.here, "keys")
    begun_s = time.process_time()
    for line in lines:
        assert two.there.merging.take(line)
    took_ms = (time.process_time() - begun_s) * 1_000 / 10
    print(f"64 new keys of another server are taken in {took_ms:.1f} ms")
    assert took_ms < 3 * 10, "three times what it may be"


@pytest.mark.parametrize("first", ["here", "there"])
def test_a_server_that_was_removed_stays_so_whatever_was_noted_of_it_since(two: Two, first: str) -> None:
    two.here.commit([two.here.peers.invite("c", "c:443", START_US)])
    two.here.commit([two.here.peers.accept("c", b"instancC", bytes(32), START_US)])
    two.settle()
    two.here.commit([two.here.peers.remove("c")])
    two.there.commit(two.there.peers.greet("c", b"another.", 2))  # later, and it has not heard
    servers = (two.here, two.there) if first == "here" else (two.there, two.here)
    two.tell(*servers)
    two.settle()
    for server in servers:
        assert [peer.name for peer in server.peers.others if peer.name == "c"] == []
        with pytest.raises(PeerRefused, match="the estate"):
            server.peers.greet("c", b"athird..", 3)
    two.here.commit([two.here.peers.invite("c", "c:443", START_US + 1)])
    two.settle()
    assert two.there.peers.find("c").state is PeerState.INVITED


def test_a_row_of_a_kind_that_is_never_removed_stays(two: Two) -> None:
    (key,) = keys(two)
    line = Line(1, "keys", key.key_id, START_US * 2, two.here.instance, True, (key.key_id,))
    with pytest.raises(BatchRefused, match="never removed"):
        two.there.merging.take(line)
    assert two.there.keystore.has(key.alias)
