"""What can be wrong with each message of a drive, in the order in which it is checked (docs/protocol.md, 10).

Written from that page; the first of two flaws of a message is the one that is answered.
"""

from __future__ import annotations

from dataclasses import replace

from qekm.clock import now_us
from qekm.dkp.codes import sense
from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.names import alias_to_dki
from qekm.v1 import drives_pb2
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.keys import make_session_key
from tests.system.crafting import changed, flags, forged, out_of_turn, patched, typed, unproved, without
from tests.system.staging import ELSEWHERE, SPENT, Flaw, Stage

UNKNOWN_DKI = alias_to_dki("QKM00FFFFFFFFFFFFFFFF")
# Where things are in a DSK list with one key of RSA-2048 (section 7).
EXPONENT, SIG_TYPE = 7 + 14 + 256, 7 + 14 + 512


def removed(stage: Stage, drive: Drive) -> None:
    """Take the drive out of the registry."""
    stage.client.drives.DeleteDrive(drives_pb2.DeleteDriveRequest(serial=drive.serial))


def gone(stage: Stage, drive: Drive) -> Drive:
    """Take the drive out of the registry before it says anything."""
    removed(stage, drive)
    return drive


def robbed(stage: Stage, drive: Drive) -> None:
    """Enter the drive's WWNN as that of another one."""
    stage.update(drive.serial, wwnn=b"")
    stage.create(serial=f"THIEF{next(stage.numbers):05d}", wwnn=drive.wwnn)


def posing(stage: Stage, drive: Drive) -> Drive:
    """Claim the WWNN of another drive."""
    return replace(drive, wwnn=stage.drive().wwnn)


def misnamed(stage: Stage, drive: Drive) -> Drive:
    """Claim to be another product than the entry says."""
    return replace(drive, product="ULT3580-TD5")


def uncertified(stage: Stage, drive: Drive) -> Drive:
    """Have the same key certified by an authority that nobody trusts."""
    der = stage.impostor.issue(drive.serial, drive.signer.private, now_us())
    return replace(drive, certificates=(der,))


def twin(stage: Stage, drive: Drive) -> Drive:
    """Have the drive served, which pins its key, and go on with a key of our own."""
    answer, _ = stage.play(drive)
    assert answer[5] == MessageType.COMPLETE
    return stage.certified(drive.serial, drive.wwnn)


def doubled(stage: Stage, drive: Drive) -> Drive:
    """Have the drive's key served, and pinned, under a second serial too."""
    serial, wwnn = double_of(drive), drive.wwnn[::-1]
    der = stage.authority.issue(serial, drive.signer.private, now_us())
    session_key = make_session_key(serial, drive.signer, stage.private, now_us())
    stage.create(serial=serial, wwnn=wwnn)
    double = replace(drive, serial=serial, wwnn=wwnn, certificates=(der,), session_key=session_key)
    assert stage.play(double)[0][5] == MessageType.COMPLETE
    return drive


def double_of(drive: Drive) -> str:
    """Return the second serial of a drive."""
    return f"{drive.serial}D"


def blocked(stage: Stage, drive: Drive) -> None:
    """Block the key of the second serial; the drive's own entry stays as it is."""
    request = drives_pb2.DeleteDriveRequest(serial=double_of(drive), block=True)
    stage.client.drives.DeleteDrive(request)


def kept_out(stage: Stage, drive: Drive) -> None:
    """Allow the drive a group that has no key for it."""
    stage.update(drive.serial, allowed_groups=[ELSEWHERE])


def dried_out(stage: Stage, drive: Drive) -> None:
    """Have the drive get its keys from a group that has none left."""
    stage.update(drive.serial, group=SPENT)


FORM = Flaw("a reserved flag", "EE23", flags(0x8000))
TURN = Flaw("not its turn", "EE2D", out_of_turn)
OTHER_TYPE = Flaw("a reserved signature type", "EE2E", typed(0x0001))
FORGED = Flaw("a signature of something else", "EE29", forged)
BLOCKED = Flaw("its key blocked", "EE2B", prepare=doubled, meanwhile=blocked)
REMOVED = Flaw("removed meanwhile", "EF01", meanwhile=removed)
ROBBED = Flaw("its WWNN given to another", "EE25", meanwhile=robbed)
KEPT_OUT = Flaw("a group that it may not use", "EE31", meanwhile=kept_out)

FLAWS: dict[int, tuple[Flaw, ...]] = {
    0x01: (
        FORM,
        TURN,
        Flaw("no product", "EE23", without(Tag.PRODUCT)),
        Flaw("EK without a key", "EEE1", flags(0x0001)),
        Flaw("sense data that ask nothing", "EE02", changed(Tag.SENSE, lambda _: sense(7, 0xEF99))),
        Flaw("not in the registry", "EF01", prepare=gone),
        Flaw("another drive's WWNN", "EE25", prepare=posing),
        Flaw("another product", "EE25", prepare=misnamed),
    ),
    0x02: (
        FORM,
        TURN,
        Flaw("no nonce", "EE23", without(Tag.RANDOM_NUMBER)),
        Flaw("DKi without a DKi", "EEE1", flags(0x0004)),
        Flaw("a DSK list that is cut off", "EE2C", changed(Tag.DSK_LIST, lambda value: value[:-1])),
        Flaw("an exponent of 1", "EE2C", patched(Tag.DSK_LIST, EXPONENT, (1).to_bytes(256))),
        Flaw("an authority that nobody trusts", "EE2B", prepare=uncertified),
        BLOCKED,
        OTHER_TYPE,
        Flaw("an unknown signature type in the list", "EE2E", patched(Tag.DSK_LIST, SIG_TYPE, b"\0\x09")),
        Flaw("a DSK that was not signed", "EE2B", patched(Tag.DSK_LIST, SIG_TYPE + 4, bytes(60))),
        FORGED,
        REMOVED,
        ROBBED,
        Flaw("another key than the one pinned", "EE25", prepare=twin),
        KEPT_OUT,
        Flaw("a group without keys left", "EE34", meanwhile=dried_out),
    ),
    0x03: (
        FORM,
        TURN,
        Flaw("no DKi", "EE23", without(Tag.DKI)),
        Flaw("EK without a key", "EEE1", flags(0x0001)),
        OTHER_TYPE,
        FORGED,
        BLOCKED,
        REMOVED,
        ROBBED,
        KEPT_OUT,
        Flaw("an unknown DKi", "EE31", changed(Tag.DKI, lambda _: UNKNOWN_DKI)),
    ),
    0x04: (
        FORM,
        TURN,
        Flaw("no sense data", "EE23", without(Tag.SENSE)),
        Flaw("EK without a key", "EEE1", flags(0x0001)),
        OTHER_TYPE,
        FORGED,
        Flaw("a proof of another key", "EE29", unproved),
        Flaw("no proof", "EE29", without(Tag.KEY_CONFIRMATION)),
        ROBBED,
    ),
}
