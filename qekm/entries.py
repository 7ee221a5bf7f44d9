"""The drives there are, accepted and pending, and whose which WWNN and which key is.

Memory only; each look-up is one dictionary access.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from operator import attrgetter
from typing import Any

from qekm.claim import DIAGNOSIS_SERIAL
from qekm.dkp.names import fold
from qekm.errors import BadArgument, DriveExists, KeyInUse, QekmError
from qekm.model import Drive, DriveState

MAX_SERIAL = 16
_TEXTS = {"vendor": 8, "product": 16, "firmware": 4, "library_serial": 32}
UNIQUE = ("wwnn", "alias")  # fields in which no two drives have the same, but for nothing
# All but when it was last seen. Drives wait for this comparison: making a drive in order to compare it takes
# ten times as long.
_told = attrgetter(*(name for name in Drive.__dataclass_fields__ if name != "last_seen_time_us"))


class Entries:
    """All drives there are, as they are now."""

    def __init__(self, drives: Iterable[Drive]) -> None:
        """Take the stored drives."""
        self._drives: dict[str, Drive] = {}
        self._pending: dict[str, Drive] = {}
        self._wwnns: dict[bytes, str] = {}  # of accepted drives: what a pending one says is not proved
        self._aliases: dict[str, str] = {}  # that entries name as their own key, folded -> serial
        self._order: list[str] | None = None
        self.version = 0  # of what entries say, but for when a drive was last seen
        for drive in drives:
            self.put(drive)

    def find(self, serial: str) -> Drive | None:
        """Return the accepted drive of a serial, None if there is none."""
        return self._drives.get(serial)

    def holder(self, name: str, value: Any) -> str:
        """Return the serial of the accepted drive that has a value in a field of UNIQUE, else nothing."""
        return self._wwnns.get(value, "") if name == "wwnn" else self._aliases.get(fold(value), "")

    def check_unique(self, name: str, value: Any, serial: str) -> None:
        """Raise what `taken` returns if another drive than this has a value in a field of UNIQUE."""
        other = self.holder(name, value)
        if other not in ("", serial):
            raise taken(name, value, other)

    def names_key(self, alias: str) -> bool:
        """Tell whether an entry names this key as the drive's own."""
        return fold(alias) in self._aliases

    def names_group(self, name: str) -> bool:
        """Tell whether an entry names this group, as its own or as allowed."""
        return any(name == drive.group or name in drive.allowed_groups for drive in self._drives.values())

    def entries(self) -> Iterable[Drive]:
        """Return all accepted drives. For the start, not for serving."""
        return self._drives.values()

    def page(self, after_serial: str = "", limit: int = 100, state: DriveState | None = None) -> list[Drive]:
        """Return at most `limit` drives in order of their serials that follow `after_serial`."""
        chosen = self._in_state(state)
        if self._order is None:
            self._order = sorted({*self._drives, *self._pending})
        start = bisect_right(self._order, after_serial)
        following = (serial for serial in islice(self._order, start, None) if serial in chosen)
        return [chosen[serial] for serial in islice(following, limit)]

    def total(self, state: DriveState | None = None) -> int:
        """Return how many drives are in a state, or at all."""
        return len(self._in_state(state))

    def put(self, drive: Drive) -> Drive:
        """Take a drive as it is now in the place of what it was, and return it; nothing is checked."""
        serial = drive.serial
        old = self._drives.get(serial)
        if old is None and serial not in self._pending:
            self._order = None
        if drive.state is DriveState.PENDING:
            self._pending[serial] = drive
            return drive
        self._pending.pop(serial, None)
        if old is None or _told(old) != _told(drive):
            self._forget(old)
            self._note(drive)
            self.version += 1
        self._drives[serial] = drive
        return drive

    def put_all(self, drives: Iterable[Drive]) -> None:
        """Take many at once: what one of them gives up another one may have."""
        drives = list(drives)
        for drive in drives:
            self._forget(self._drives.get(drive.serial))
        for drive in drives:
            self._note(self.put(drive))

    def _take_out(self, drive: Drive) -> None:
        self._pending.pop(drive.serial, None)
        if self._drives.pop(drive.serial, None) is not None:
            self._forget(drive)
            self.version += 1
        self._order = None

    def _note(self, drive: Drive) -> None:
        if drive.wwnn:
            self._wwnns[drive.wwnn] = drive.serial
        if drive.alias:
            self._aliases.setdefault(fold(drive.alias), drive.serial)

    def _forget(self, drive: Drive | None) -> None:
        """Have a drive's WWNN and key be nobody's, unless they are another one's by now."""
        if drive is None:
            return
        if self._wwnns.get(drive.wwnn) == drive.serial:
            del self._wwnns[drive.wwnn]
        if drive.alias and self._aliases.get(fold(drive.alias)) == drive.serial:
            del self._aliases[fold(drive.alias)]

    def _in_state(self, state: DriveState | None) -> dict[str, Drive]:
        if state is DriveState.ACCEPTED:
            return self._drives
        return self._pending if state is DriveState.PENDING else self._drives | self._pending


def taken(name: str, value: Any, other: str) -> QekmError:
    """Return what is wrong with a value in a field of UNIQUE that another drive has."""
    if name == "wwnn":
        return DriveExists(f"the WWNN is drive {other}'s", drive=other)
    return KeyInUse(f"key {value} is drive {other}'s own", alias=value, drive=other)


def check_serial(serial: str) -> None:
    """Raise BadArgument unless a drive can have this serial, normalised."""
    if not (1 <= len(serial) <= MAX_SERIAL and serial.isascii() and serial.isprintable()):
        raise BadArgument(
            f"a drive's serial has 1 to {MAX_SERIAL} printable ASCII characters", field="serial"
        )
    if serial == DIAGNOSIS_SERIAL:
        raise BadArgument(f"{serial} is the serial of the test drive", field="serial")


def check_fields(drive: Drive) -> None:
    """Raise BadArgument unless a drive's entry can have these fields."""
    if len(drive.wwnn) not in (0, 8):
        raise BadArgument("a WWNN has 8 bytes", field="wwnn")
    for name, most in _TEXTS.items():
        text = getattr(drive, name)
        if len(text) > most or not (text.isascii() and (text.isprintable() or not text)):
            raise BadArgument(f"{name} has at most {most} printable ASCII characters", field=name)
