"""New certificates of a home's server, gateway and administrator, by the authority in a store's vaults.

For a restore: the private keys of the old ones were on the old machine, and are in no backup. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qekm import pki
from qekm.certificates import AUTHORITY, Certificates, record_of
from qekm.errors import StoreDamaged
from qekm.founding import FIRST, first_leaf
from qekm.model import Certificate, Role
from qekm.pki import Issuer, RandomBytes
from qekm.sealing import KeyRing
from qekm.store import INSTANCE, Snapshot

MACHINES = (Role.SERVER, Role.GATEWAY)


@dataclass(frozen=True, slots=True)
class Reissued:
    """New certificates and those that they replace, revoked; files for pki/, private keys among them."""

    issued: tuple[Certificate, ...]
    revoked: tuple[Certificate, ...]
    files: dict[str, bytes]


def reissue(
    found: Snapshot,
    ring: KeyRing,
    hosts: Sequence[str],
    now_us: Callable[[], int],
    random_bytes: RandomBytes,
) -> Reissued:
    """Issue the three certificates of a home anew, and revoke those of the same roles and names.

    The administrator's are the same person's on every server: those on others are revoked with it, as anybody
    could have kept them.

    hosts: names and addresses of server and gateway; none for those that the last one had. During a roll-over
    the new authority issues, and the old one stays trusted. StoreDamaged, BadArgument.
    """
    issuer, names = _issuer(found, ring), _names(found)
    hosts = hosts or _hosts(found, names[Role.SERVER])
    made = {
        role: first_leaf(issuer, ring.estate_id, role, hosts, now_us(), random_bytes, names[role])
        for role in FIRST
    }
    issued = tuple(record_of(leaf, issuer) for leaf, _ in made.values())
    owner = Certificates(
        ring.estate_id,
        found.vaults,
        [*found.certificates, *issued],
        pki.pem(made[Role.SERVER][0]),
        ring,
        now_us,
        random_bytes,
    )
    files = {"trust.pem": owner.trust_pem}
    for role, (leaf, key) in made.items():
        name = role.name.lower()
        files |= {f"{name}.pem": owner.chain(leaf), f"{name}.key": key}
    replaced = [
        each for each in found.certificates if names.get(each.role) == each.name and not each.revoke_time_us
    ]
    revoked = [owner.revoke(each.serial, only_this=True)[0] for each in replaced]
    return Reissued(issued, tuple(revoked), files)


def _issuer(found: Snapshot, ring: KeyRing) -> Issuer:
    try:
        vault = found.vaults[AUTHORITY]
        return Issuer.load(vault.certificate, ring.open_vault(vault))
    except (KeyError, ValueError) as error:
        raise StoreDamaged("the internal authority cannot be read") from error


def _names(found: Snapshot) -> dict[Role, str]:
    """Return the names in a home's certificates: a server that joined has its own, and its gateway has it."""
    instance = found.settings.get(INSTANCE, "")
    joined = next((peer.name for peer in found.peers if peer.instance.hex() == instance), "")
    own = {} if joined in ("", Role.SERVER.name.lower()) else dict.fromkeys(MACHINES, joined)
    return {role: role.name.lower() for role in FIRST} | own


def _hosts(found: Snapshot, name: str) -> tuple[str, ...]:
    """Return the names and addresses of the server's last certificate."""
    own = [each for each in found.certificates if (each.role, each.name) == (Role.SERVER, name)]
    return max(own, key=lambda each: each.start_time_us).hosts if own else ()
