"""What every step of a session works with: the owners, the server's key, the policy, what is remembered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from qekm.allocator import Allocator
from qekm.dcert import DriveTrust
from qekm.dkp.names import alias_to_dki
from qekm.drives import Registry
from qekm.errors import TooMany
from qekm.keystore import KEY_LENGTH, Keystore
from qekm.model import Change
from qekm.secret import Secret
from qekm.serving.policy import Policy
from qekm.serving.sessions import Session
from qekm.signing import FrameSigner
from qekm.wrapping import SessionKey

HOUR_US = 3_600_000_000
MAX_PROVED = 16_384  # drive session keys; a kB each

Changes = list[Change]
"""What a step has changed in memory so far: it is committed whether the step is answered or refused."""


class Diagnosis:
    """The gateways' test drives: an authority of their own, and one key that is no cartridge's."""

    __slots__ = ("alias", "dki", "material", "trust")

    def __init__(self, authority: bytes, random_bytes: Callable[[int], bytes]) -> None:
        """Draw the key; `authority` is the DER certificate that test drives chain to."""
        self.trust = DriveTrust((authority,))
        self.alias = "QKMDIAG0001"
        self.dki = alias_to_dki(self.alias)
        self.material = Secret(random_bytes(KEY_LENGTH))


class Creations:
    """How many keys each drive was given for writing in the last hour."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[str, deque[int]] = {}

    def take(self, serial: str, elapsed_us: int, most: int) -> None:
        """Count one more; TooMany when the drive had as many as it may have."""
        times = self._times.setdefault(serial, deque())
        while times and times[0] <= elapsed_us - HOUR_US:
            times.popleft()
        if len(times) >= most:
            raise TooMany(f"the drive was given {len(times)} new keys within the hour", limit=str(most))
        times.append(elapsed_us)


@dataclass(slots=True)
class Desk:
    """Owners and state that outlive a session."""

    keystore: Keystore
    allocator: Allocator
    registry: Registry
    signer: FrameSigner
    chain: tuple[bytes, ...]  # certificates of the signer's key, leaf first, DER
    policy: Policy
    random_bytes: Callable[[int], bytes]
    diagnosis: Diagnosis | None
    elapsed_us: Callable[[], int]  # durations are taken on it: the date may be set while a drive thinks
    creations: Creations = field(default_factory=Creations)
    # Serial and DSK list -> the key that signed it, the session key in it: a drive may keep one for a day.
    proved: dict[tuple[str, bytes], tuple[bytes, SessionKey]] = field(default_factory=dict)
    # The last session of each drive that was given a key for writing.
    latest: dict[str, Session] = field(default_factory=dict)
    # Whether no other server is there to know of a new key, where one must.
    is_alone: Callable[[], bool] = lambda: False

    def remember(self, serial: str, dsk_list: bytes, spki_sha256: bytes, key: SessionKey) -> None:
        """Keep a session key whose signature was verified; the oldest makes room."""
        if len(self.proved) >= MAX_PROVED:
            del self.proved[next(iter(self.proved))]
        self.proved[serial, dsk_list] = spki_sha256, key
