"""Names that are masked: where they are learnt while the service is down, and what it costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from qekm_cli.doctor.bundle import Wanted, gather
from qekm_cli.doctor.pseudonyms import Pseudonyms
from tests.cli.doctor.rig import make_template
from tests.cli.doctor.test_journal import unavailable

# Where a name is without a service that could tell it, and what of it must not be in the bundle.
PROPERTIES = """\
gateway.services=local,kms1.vault.example:3801,[2001:db8::17]:3801
TransportListener.ssl.host=kms2.vault.example
alarms.mail.server=relay.vault.example:25
log.syslog=tls://collector.vault.example:6514
"""
CLIENT = "TransportListener.ssl.host=kms4.vault.example\nidentity=katharina\n"
AUDIT = """\
2026-11-26 record
  action=rpc.CreateGroup
  resource=key group nightshift
  outcome=success
2026-11-26 record
  resource=peer reykjavik
2026-11-26 record
  resource=drive LIBRARYDRIVE
"""
DOCTOR = {
    "broken": {"step": "connect", "seen": ["nothing listens at kms5.vault.example:3801"], "advice": ""},
    "findings": [{"step": "name", "seen": ["the name lonely is 192.0.2.44"], "advice": "ping lonely"}],
}
NAMES = (
    *(f"kms{number}.vault.example" for number in (1, 2, 4, 5, 6)),
    *("relay.vault", "collector.vault", "2001:db8::17", "192.0.2.44", "lonely"),
    *("katharina", "wilhelmina", "nightshift", "reykjavik", "LIBRARYDRIVE"),
)


def members_of(tmp_path: Path, *, mask_names: bool) -> str:
    """Return all that a bundle of a home has in which these names are."""
    home = make_template(tmp_path / "home")
    with home.config.open("a") as file:
        file.write(PROPERTIES)
    home.client_config.write_text(CLIENT)
    (log := home.path / "keymanager" / "audit" / "kms_audit.log").parent.mkdir(parents=True, exist_ok=True)
    log.write_text(AUDIT)
    home.stderr_log.write_text("error: no way to kms6.vault.example as wilhelmina, nor to lonely\n" + AUDIT)
    wanted = Wanted(50, 0, mask_names, "lonely:3801", "wilhelmina")
    told = {**DOCTOR, "more": "kms6.vault.example:443"}
    return b"".join(gather(home, wanted, told, unavailable).values()).decode()


def test_names_of_properties_findings_and_trails_are_masked_while_the_service_is_down(tmp_path: Path) -> None:
    shown = members_of(tmp_path / "shown", mask_names=False)
    assert [name for name in NAMES if name not in shown] == []
    masked = members_of(tmp_path / "masked", mask_names=True)
    assert [name for name in NAMES if name.lower() in masked.lower()] == []
    assert "gateway.services=local,host-" in masked
    assert "look first" in masked, "README.txt says what may be missed"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("anna", "(anna) anna_x x-ANNA. anna"),
        ("Müller & Söhne", "for müller & söhne, today"),
        ("2001:db8::", "net 2001:db8::"),
    ],
)
def test_a_name_is_found_at_its_edges_and_whatever_it_is_made_of(name: str, text: str) -> None:
    names = Pseudonyms({"name": [name]})
    assert names(text).count("name-1") == text.lower().count(name.rstrip(":").lower())
    assert names("annabel joanna annab") == "annabel joanna annab"


def test_of_several_names_the_longest_is_taken() -> None:
    names = Pseudonyms({"host": ["kms1", "kms1.example.org", "kms1.example"]})
    assert names("kms1.example.org kms1.example.com kms1") == "host-2 host-3.com host-1"


def test_ten_times_as_many_names_do_not_take_ten_times_as_long() -> None:
    """All begin with the same letters, as serials do; a pattern of all of them tries each at each place."""
    many = [f"drive00{number:05}" for number in range(8_000)]
    text = " ".join(f"mounted by drive0{number:05}x" for number in range(4_000))

    def seconds(names: list[str]) -> float:
        known = Pseudonyms({"serial": names})
        begun = time.thread_time()
        known(text)
        return time.thread_time() - begun

    few, all_of_them = min(seconds(many[:800]) for _ in range(3)), min(seconds(many) for _ in range(3))
    print(f"800 names {few:.3f} s, 8,000 names {all_of_them:.3f} s, {len(text):,} characters")
    assert all_of_them < 4 * few
