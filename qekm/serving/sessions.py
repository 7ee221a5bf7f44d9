"""The sessions under way: what each has agreed on so far, who may go on with it, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from qekm.audit import Subject
from qekm.claim import Claim
from qekm.dcert import DriveIdentity
from qekm.dkp.codes import Ask, Code, Fault
from qekm.keystore import Mount
from qekm.wrapping import SessionKey

MAX_SESSIONS = 100_000


class State(Enum):
    """Which message of the client a session waits for."""

    DSK = 0x02
    DKI = 0x03
    STATUS = 0x04


@dataclass(slots=True, eq=False)
class Session:
    """One drive's conversation. Before `identity` is set, everything in it is only said."""

    id: int
    gateway: str
    source: str  # host of the client
    deadline_us: int  # on the clock that nobody sets
    ask: Ask
    serial: str  # as on the wire: what the certificate must name
    claim: Claim
    subject: Subject
    mount_id: bytes
    dki: bytes | None  # that message 01 named
    diagnosis: bool  # it is a gateway's test drive
    challenge: bytes
    transcript: bytes = b""  # every complete frame so far
    sequence: int = 0  # of the server's last frame
    state: State = State.DSK
    # From message 02 on.
    identity: DriveIdentity | None = None
    session_key: SessionKey | None = None
    nonce: bytes = b""
    unknown: bool = False  # the drive had no entry when it proved itself
    # From SET_KEY or NO_KEY on.
    alias: str = ""  # empty: no key was given
    created: bool = False  # for writing from the beginning, not for a cartridge that names its key
    written: bool = False  # an earlier session of this mount confirmed the key
    given_us: int = 0  # when the key says that it was given: a later time is another session's doing
    confirmation_key: bytes = field(default=b"", repr=False)
    must_confirm: bool = True

    @property
    def mount(self) -> Mount:
        """Return what the keystore remembers a given key by."""
        return self.claim.serial, self.mount_id, self.subject.volser


class Sessions:
    """Open sessions by id, bounded in all and per source; they end in the order in which they began."""

    def __init__(self) -> None:
        self._open: dict[int, Session] = {}
        # By gateway, too: who has the certificate of one names any source, and must not lock out another's.
        self._sources: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._open

    def add(self, session: Session, most: int) -> None:
        """Take a new session; Fault EE0F if its source has `most`: its client then tries another server."""
        source = session.gateway, session.source
        count = self._sources.get(source, 0)
        if len(self._open) >= MAX_SESSIONS or count >= most or not session.id or session.id in self._open:
            raise Fault(Code.EE0F)
        self._open[session.id] = session
        self._sources[source] = count + 1

    def peek(self, session_id: int) -> Session | None:
        """Return a session, whoever asks."""
        return self._open.get(session_id)

    def find(self, session_id: int, gateway: str, elapsed_us: int) -> Session | None:
        """Return a session that is still open and came through this gateway."""
        session = self._open.get(session_id)
        if session is None or session.gateway != gateway or session.deadline_us <= elapsed_us:
            return None
        return session

    def of(self, gateway: str) -> list[Session]:
        """Return a gateway's sessions. A pass over all that are open: for its end, not for serving."""
        return [session for session in self._open.values() if session.gateway == gateway]

    def remove(self, session_id: int) -> Session | None:
        """Forget a session and return it."""
        session = self._open.pop(session_id, None)
        if session is not None:
            source = session.gateway, session.source
            left = self._sources[source] - 1
            if left:
                self._sources[source] = left
            else:
                del self._sources[source]
        return session

    def expired(self, elapsed_us: int) -> Iterator[Session]:
        """Forget and return the sessions whose time is over."""
        while self._open:
            session = next(iter(self._open.values()))
            if session.deadline_us > elapsed_us:
                return
            self.remove(session.id)
            yield session
