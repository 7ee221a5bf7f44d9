"""The owner of certificates: what it issues, refuses and rolls over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from qekm import certificates as owner
from qekm import keypair, pki
from qekm.certificates import Certificates
from qekm.denylist import DenyList
from qekm.errors import (
    BadArgument,
    LastAdministrator,
    RolloverState,
    StoreDamaged,
    UnknownCertificate,
)
from qekm.model import Certificate, Change, Role, Vault
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.subject import subject_of
from tests.fakes.pki import DAY_US, Pki, now_us

KEY = keypair.make_key().public_key()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = now_us()

    def __call__(self) -> int:
        return self.now


class Desk:
    """The owner beside what its changes leave in a store, so that it can be opened again."""

    def __init__(self, path: Path) -> None:
        self.pki = Pki(path)
        self.clock = Clock()
        self.ring = KeyRing(Secret(bytes(32)), self.pki.estate)
        self.records: dict[str, Certificate] = {}
        self.vaults: dict[str, Vault] = {}
        founding = self.pki.founding
        sealed = self.ring.seal_vault(owner.AUTHORITY, founding.issuer.dump_key().reveal())
        self.keep(
            [
                Vault(owner.AUTHORITY, sealed, pki.der(founding.issuer.certificate)),
                Vault(owner.SIGNER, b"sealed elsewhere", pki.der(founding.signer)),
                *founding.records,
            ]
        )
        self.server_pem = self.pki.home.certificate("server").read_bytes()
        self.owner = self.open()

    def open(self) -> Certificates:
        """Return an owner of what was kept."""
        return Certificates(
            self.pki.estate,
            self.vaults,
            list(self.records.values()),
            self.server_pem,
            self.ring,
            self.clock,
            os.urandom,
        )

    def keep(self, changes: Sequence[Change]) -> None:
        """Store changes as a store would."""
        for change in changes:
            if isinstance(change, Vault):
                self.vaults[change.name] = change
            else:
                assert isinstance(change, Certificate)
                self.records[change.serial] = change

    def issue(self, role: Role, name: str = "alice", days: int = 0) -> Certificate:
        """Issue and keep a certificate."""
        issued, changes = self.owner.issue(KEY, role, name, [], days)
        self.keep(changes)
        return issued.record

    def of(self, name: str) -> Certificate:
        """Return the newest record of a name."""
        return next(each for each in self.owner.page("", 99) if each.name == name)

    def roll(self) -> None:
        """Start a roll-over and keep what it makes."""
        self.keep(self.owner.start_rollover())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return an owner as `init` leaves it."""
    return Desk(tmp_path / "home")


def test_init_makes_a_server_a_gateway_and_an_administrator(desk: Desk) -> None:
    assert sorted((each.role, each.name) for each in desk.owner.page("", 10)) == [
        (Role.ADMINISTRATOR, "administrator"),
        (Role.GATEWAY, "gateway"),
        (Role.SERVER, "server"),
    ]
    assert desk.of("server").hosts == ("localhost", "127.0.0.1", "::1")
    assert set(desk.pki.founding.files) == {
        "trust.pem",
        *(f"{name}.{end}" for name in ("server", "gateway", "administrator") for end in ("pem", "key")),
    }


def test_what_is_issued_is_what_was_asked_for_and_is_on_record(desk: Desk) -> None:
    issued, changes = desk.owner.issue(KEY, Role.GATEWAY, "g2", ["Gate.example", "10.0.0.1"], 30)
    leaf = x509.load_pem_x509_certificate(issued.pem)
    assert changes == [issued.record] == [desk.owner.by_serial(pki.serial_of(leaf).upper())]
    assert subject_of(leaf).hosts == issued.record.hosts == ("gate.example", "10.0.0.1")
    assert leaf.public_key() == KEY
    assert desk.clock.now + 29 * DAY_US < issued.record.expire_time_us <= desk.clock.now + 30 * DAY_US


@pytest.mark.parametrize("days", [-1, 826, 10_000])
def test_a_validity_beyond_the_limits_is_refused(desk: Desk, days: int) -> None:
    with pytest.raises(BadArgument) as caught:
        desk.owner.issue(KEY, Role.OPERATOR, "olga", [], days)
    assert caught.value.details == {"field": "days"}


def test_nothing_is_on_record_of_what_could_not_be_issued(desk: Desk) -> None:
    for name, hosts in (("a/b", []), ("alice", ["localhost"])):
        with pytest.raises(BadArgument):
            desk.owner.issue(KEY, Role.OPERATOR, name, hosts, 0)
    assert len(desk.owner.page("", 10)) == 3


def test_a_renewal_keeps_role_name_and_hosts_and_the_one_before(desk: Desk) -> None:
    before = desk.of("gateway")
    issued, _ = desk.owner.renew(KEY, before.serial)
    after = issued.record
    assert (after.role, after.name, after.hosts) == (before.role, before.name, before.hosts)
    assert after.serial != before.serial and before.serial not in desk.owner.denied


def test_a_revoked_certificate_is_not_renewed(desk: Desk) -> None:
    desk.owner.revoke(desk.of("gateway").serial)
    with pytest.raises(BadArgument):
        desk.owner.renew(KEY, desk.of("gateway").serial)


def test_revoking_is_for_good_and_told_at_once(desk: Desk) -> None:
    told: list[str] = []
    desk.owner.denied.watch(told.append)
    serial = desk.of("gateway").serial
    revoked, changes = desk.owner.revoke(serial.upper())
    desk.keep(changes)
    assert revoked.revoke_time_us == desk.clock.now and changes == [revoked]
    assert told == [serial] and serial in desk.owner.denied
    assert serial in desk.open().denied  # the deny list is there before a service listens
    assert desk.owner.revoke(serial) == (revoked, [])


def test_somebody_must_remain_who_can_administer(desk: Desk) -> None:
    first = desk.of("administrator").serial
    with pytest.raises(LastAdministrator):
        desk.owner.revoke(first)
    short = desk.issue(Role.ADMINISTRATOR, "bob", days=1)
    desk.issue(Role.OPERATOR, "olga")
    desk.clock.now += 2 * DAY_US
    with pytest.raises(LastAdministrator):  # bob's has ended
        desk.owner.revoke(first)
    desk.issue(Role.ADMINISTRATOR, "carol")
    desk.owner.revoke(first)
    desk.owner.revoke(short.serial)
    with pytest.raises(LastAdministrator):
        desk.owner.revoke(desk.of("carol").serial)


def test_revoking_ends_what_a_thief_made_of_a_certificate_and_what_was_before_it(desk: Desk) -> None:
    first, other = desk.issue(Role.OPERATOR, "olga"), desk.issue(Role.AUDITOR, "olga")
    short = desk.issue(Role.OPERATOR, "olga", days=1)
    desk.clock.now += 2 * DAY_US
    stolen = desk.owner.renew(KEY, first.serial)[0].record
    desk.clock.now += 1_000_000
    thiefs = desk.owner.renew(KEY, stolen.serial)[0].record
    told: list[str] = []
    desk.owner.denied.watch(told.append)
    revoked, changes = desk.owner.revoke(stolen.serial)
    assert revoked.serial == stolen.serial and revoked.revoke_time_us
    assert [each.serial for each in changes] == told == [thiefs.serial, stolen.serial, first.serial]
    assert short.serial not in desk.owner.denied  # it has ended
    assert other.serial not in desk.owner.denied  # another identity of the same name


def test_one_certificate_alone_is_revoked_when_its_renewal_is_known(desk: Desk) -> None:
    old = desk.issue(Role.OPERATOR, "olga")
    new = desk.owner.renew(KEY, old.serial)[0].record
    revoked, changes = desk.owner.revoke(old.serial, only_this=True)
    assert changes == [revoked] and new.serial not in desk.owner.denied
    assert desk.owner.revoke(old.serial, only_this=True) == (revoked, [])
    again, changes = desk.owner.revoke(old.serial)  # on second thoughts
    assert again == revoked and [each.serial for each in changes] == [new.serial]


def test_renewals_do_not_count_as_another_administrator(desk: Desk) -> None:
    first = desk.of("administrator")
    desk.owner.renew(KEY, first.serial)
    with pytest.raises(LastAdministrator):
        desk.owner.revoke(first.serial)
    assert first.serial not in desk.owner.denied
    desk.owner.revoke(first.serial, only_this=True)


def test_an_unknown_serial_is_named(desk: Desk) -> None:
    for call in (desk.owner.by_serial, desk.owner.revoke, lambda serial: desk.owner.renew(KEY, serial)):
        with pytest.raises(UnknownCertificate) as caught:
            call("00ff")
        assert caught.value.details == {"serial": "00ff"}


def test_pages_are_newest_first_and_miss_nothing(desk: Desk) -> None:
    for number in range(10):
        desk.clock.now += 1_000_000
        desk.issue(Role.OPERATOR, f"o{number}")
    seen: list[Certificate] = []
    while page := desk.owner.page(seen[-1].serial if seen else "", 4):
        seen += page
    assert len(seen) == 13 == len({each.serial for each in seen})
    assert [each.name for each in seen[:3]] == ["o9", "o8", "o7"]
    assert [each.start_time_us for each in seen] == sorted((e.start_time_us for e in seen), reverse=True)


def test_a_rollover_trusts_both_and_issues_by_the_new(desk: Desk) -> None:
    old = desk.owner.issuer.certificate
    before = x509.load_pem_x509_certificate(desk.owner.server_pem)
    desk.roll()
    new, trusted = x509.load_pem_x509_certificates(desk.owner.trust_pem)
    assert desk.owner.rolling and trusted == old and new == desk.owner.issuer.certificate != old
    server, cross = x509.load_pem_x509_certificates(desk.owner.server_pem)
    assert server.public_key() == before.public_key() and server.issuer == new.subject
    assert (cross.subject, cross.issuer) == (new.subject, old.subject)
    assert pki.serial_of(before) in desk.owner.denied  # of no more use to anyone
    assert sorted(each.name for each in desk.owner.outdated()) == ["administrator", "gateway"]


def test_the_old_authoritys_key_is_gone_when_the_new_one_is_there(desk: Desk) -> None:
    old = desk.owner.issuer.dump_key().reveal()
    desk.roll()
    kept = [desk.ring.open_vault(v).reveal() for v in desk.vaults.values() if v.name != owner.SIGNER]
    assert old not in kept and len(kept) == 3


def test_a_rollover_survives_a_restart(desk: Desk) -> None:
    desk.roll()
    desk.server_pem = desk.owner.server_pem
    again = desk.open()
    assert again.trust_pem == desk.owner.trust_pem and again.server_pem == desk.owner.server_pem
    assert again.rolling and again.refresh_server() == []


def test_a_crash_before_the_files_were_written_is_mended_at_start(desk: Desk) -> None:
    desk.roll()  # and server_pem on disk is still the old one
    again = desk.open()
    desk.keep(again.refresh_server())
    server, _cross = x509.load_pem_x509_certificates(again.server_pem)
    assert server.issuer == again.issuer.certificate.subject
    assert again.refresh_server() == []
    assert [each.name for each in again.outdated() if each.role is Role.SERVER] == []


def test_a_rollover_is_not_finished_while_old_certificates_are_in_force(desk: Desk) -> None:
    desk.roll()
    with pytest.raises(RolloverState, match=r"2 certificates .* administrator/administrator") as caught:
        desk.owner.finish_rollover(force=False)
    assert caught.value.details == {"count": "2"}
    for name in ("gateway", "administrator"):
        old = desk.of(name)
        desk.clock.now += 1_000_000
        desk.keep(desk.owner.renew(KEY, old.serial)[1])
        desk.keep(desk.owner.revoke(old.serial, only_this=True)[1])
    assert desk.owner.outdated() == []
    desk.keep(desk.owner.finish_rollover(force=False))
    assert not desk.owner.rolling
    assert x509.load_pem_x509_certificates(desk.owner.trust_pem) == [desk.owner.issuer.certificate]
    assert len(x509.load_pem_x509_certificates(desk.owner.server_pem)) == 1


def test_old_certificates_that_have_ended_do_not_hold_a_rollover_up(desk: Desk) -> None:
    desk.roll()
    desk.issue(Role.ADMINISTRATOR, "alice", days=800)
    desk.clock.now += 500 * DAY_US
    desk.owner.finish_rollover(force=False)


def test_a_forced_finish_ends_the_old_certificates(desk: Desk) -> None:
    desk.roll()
    desk.issue(Role.ADMINISTRATOR, "alice")
    left = {each.serial for each in desk.owner.outdated()}
    told: list[str] = []
    desk.owner.denied.watch(told.append)
    desk.keep(desk.owner.finish_rollover(force=True))
    assert set(told) == left and all(desk.records[serial].revoke_time_us for serial in left)
    assert all(serial in desk.open().denied for serial in left)


def test_not_even_a_forced_finish_leaves_nobody_to_administer(desk: Desk) -> None:
    desk.roll()
    with pytest.raises(LastAdministrator):
        desk.owner.finish_rollover(force=True)
    assert desk.owner.rolling and len(desk.owner.outdated()) == 2


def test_the_signers_certificate_changes_with_the_authority_and_its_key_never(desk: Desk) -> None:
    before = x509.load_der_x509_certificate(desk.owner.signer)
    desk.roll()
    assert desk.owner.signer == pki.der(before)
    desk.issue(Role.ADMINISTRATOR, "alice")
    desk.keep(desk.owner.finish_rollover(force=True))
    after = x509.load_der_x509_certificate(desk.owner.signer)
    assert after.public_key() == before.public_key() and after.issuer != before.issuer
    after.verify_directly_issued_by(desk.owner.issuer.certificate)
    assert desk.vaults[owner.SIGNER] == Vault(owner.SIGNER, b"sealed elsewhere", desk.owner.signer)


def test_rollovers_follow_one_another_and_never_overlap(desk: Desk) -> None:
    with pytest.raises(RolloverState):
        desk.owner.finish_rollover(force=True)
    for number in range(3):
        desk.roll()
        with pytest.raises(RolloverState):
            desk.owner.start_rollover()
        desk.issue(Role.ADMINISTRATOR, f"a{number}")
        desk.keep(desk.owner.finish_rollover(force=True))
        desk.server_pem = desk.owner.server_pem
        desk.owner = desk.open()
        assert not desk.owner.rolling


def test_what_is_trusted_cannot_be_written_into_the_store(desk: Desk) -> None:
    """Whoever can write the database but not open it must not become an authority."""
    mine = pki.make_issuer(desk.pki.estate, now_us(), os.urandom)
    for name in (owner.OLD, owner.AUTHORITY):
        kept = dict(desk.vaults)
        sealed = kept[name].sealed if name in kept else pki.der(mine.certificate)
        desk.vaults[name] = Vault(name, sealed, pki.der(mine.certificate))
        with pytest.raises(StoreDamaged):
            desk.open()
        desk.vaults = kept


def test_a_store_without_its_authority_is_damaged(desk: Desk) -> None:
    del desk.vaults[owner.AUTHORITY]
    with pytest.raises(StoreDamaged):
        desk.open()


def test_the_service_renews_its_own_certificate_in_time(desk: Desk) -> None:
    assert desk.owner.refresh_server() == []
    before = desk.owner.server_pem
    desk.clock.now += 360 * DAY_US
    assert desk.owner.refresh_server() == []
    desk.clock.now += 10 * DAY_US
    new, old = desk.owner.refresh_server()
    assert isinstance(new, Certificate) and isinstance(old, Certificate)
    assert (new.role, new.name, new.hosts) == (Role.SERVER, "server", desk.of("gateway").hosts)
    assert old.revoke_time_us and desk.owner.server_pem != before
    assert desk.owner.refresh_server() == []


def test_a_certificate_that_was_renewed_by_a_wrong_date_is_renewed_by_the_right_one(desk: Desk) -> None:
    for years in (4, -4):
        desk.clock.now += years * 366 * DAY_US
        (wrong,) = desk.owner.refresh_server()  # and no good one is refused: others know the date
        desk.clock.now -= years * 366 * DAY_US
        (new,) = desk.owner.refresh_server()
        assert isinstance(new, Certificate) and isinstance(wrong, Certificate)
        assert new.start_time_us <= desk.clock.now < new.expire_time_us
        assert not wrong.start_time_us <= desk.clock.now < wrong.expire_time_us
        assert desk.owner.refresh_server() == []
    assert not any(each.revoke_time_us for each in desk.owner)


def test_a_renewal_of_the_services_own_certificate_takes_the_place_of_the_one_before(desk: Desk) -> None:
    before = x509.load_pem_x509_certificate(desk.owner.server_pem)
    key = before.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    other, _ = desk.owner.renew(KEY, pki.serial_of(before))
    assert desk.owner.server_pem != other.pem, "of a key that the service does not have"
    issued, _ = desk.owner.renew(key, pki.serial_of(before))
    desk.owner.revoke(pki.serial_of(before), only_this=True)
    assert desk.owner.refresh_server() == []
    assert desk.owner.server_pem == issued.pem, "or the revoked one would be written over it"


def test_a_deny_list_tells_all_who_watch() -> None:
    one: list[str] = []
    two: list[str] = []
    deny = DenyList(["a"])
    deny.watch(one.append)
    deny.watch(two.append)
    deny.add("b")
    assert one == two == ["b"] and "a" in deny and "b" in deny and "c" not in deny
