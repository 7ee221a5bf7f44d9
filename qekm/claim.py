"""What a drive says of itself, before and after it proved it, and what an entry keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qekm.model import Drive

DIAGNOSIS_SERIAL = "QEKMDIAG0001"  # of the gateways' test drives; no entry can have it


class Accept(StrEnum):
    """What becomes of drives that are not in the registry: the values of drive.acceptUnknownDrives."""

    TRUE = "true"
    FALSE = "false"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a drive says of itself in message 01; serial normalised, T10 texts without their padding."""

    serial: str
    wwnn: bytes
    vendor: str = ""
    product: str = ""
    firmware: str = ""
    library_serial: str = ""


def normalise_serial(serial: str) -> str:
    """Return the serial as the registry spells it: ten digits get two leading zeros, as in the original."""
    return "00" + serial if len(serial) == 10 and serial.isdecimal() else serial


def described(drive: Drive, claim: Claim, spki_sha256: bytes, now_us: int) -> Drive:
    """Return an entry with what the drive says now; WWNN, product and key stay once they are known."""
    return Drive(
        drive.serial,
        drive.state,
        drive.create_time_us,
        drive.wwnn or claim.wwnn,
        drive.vendor or claim.vendor,
        drive.product or claim.product,
        claim.firmware or drive.firmware,
        drive.spki_sha256 or spki_sha256,
        now_us,
        drive.allowed_groups,
        drive.group,
        drive.alias,
        drive.confirm,
        drive.label_mode,
        claim.library_serial or drive.library_serial,
    )
