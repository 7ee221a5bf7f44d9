"""What a drive wants of a key manager, and how that ended."""

from __future__ import annotations

from dataclasses import dataclass

from qekm.dkp.codes import Ask
from qekm.dkp.frame import Frame, Tag
from qekm.dkp.pages import akad_of
from qekm_gateway.simulator.keys import InstalledKey
from qekm_gateway.simulator.sense import DATA_PROTECT, CheckCondition

SENSE_CODES = {
    Ask.CREATE: 0xEF11,
    Ask.TRANSLATE: 0xEF13,
    Ask.ACQUIRE: 0xEF10,
    Ask.OPTIONAL: 0xEF1A,
    Ask.NO_OPERATION: 0xEFC0,
}
_WRITING = frozenset({(2, 3)})


@dataclass(frozen=True, slots=True)
class Errand:
    """What is wanted, the same in every retry.

    mount_id (16 bytes) is made when a medium is loaded. status_page is T10 page 0021h of the block to read.
    dki names a key outright; with late the drive keeps it back until the key manager asks (QUERY_DKI).
    """

    ask: Ask
    volser: str = ""
    mount_id: bytes = b""
    library_serial: str = ""
    status_page: bytes = b""
    dki: bytes = b""
    late: bool = False

    @property
    def named(self) -> bytes:
        """The DKi that the answer must have; empty if any will do."""
        if self.ask is Ask.CREATE:
            return b""
        return self.dki or (akad_of(self.status_page) if self.status_page else None) or b""

    @property
    def modes(self) -> frozenset[tuple[int, int]]:
        """Encryption and decryption modes that may be set; 0/2 is for reading alone, so always safe."""
        return _WRITING | {(0, 2)} if self.ask is Ask.TRANSLATE else _WRITING


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended.

    key is None after a no operation, NO_KEY (then in_clear) or a key that could not be installed (status is
    sense data). confirmed is false if no COMPLETE came that could be believed: the key is kept all the same.
    server is the address of the one that served, where it was chosen among several.
    """

    key: InstalledKey | None = None
    in_clear: bool = False
    status: bytes = b""
    confirmed: bool = False
    note: str = ""
    server: str = ""


class Refused(CheckCondition):
    """An ERROR frame, which nobody signed: the key manager's number (EE31h ...), its T10 twin as sense."""

    def __init__(self, number: int, twin: int, text: str) -> None:
        self.number = number
        super().__init__(DATA_PROTECT, twin, f"refused by the key manager: {number:04X} {text}".rstrip())


def refusal_of(frame: Frame) -> Refused:
    """Read an ERROR frame."""
    number, twin = ((frame.get(tag) or bytes(18))[12:14] for tag in (Tag.SENSE, Tag.SENSE_T10))
    text = (frame.get(Tag.ERROR_TEXT) or b"").decode(errors="replace")
    return Refused(int.from_bytes(number), int.from_bytes(twin), text)
