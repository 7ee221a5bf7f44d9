"""A tape drive: who it is, and the data key that its volatile memory holds while a medium is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import rsa

from qekm.dkp.codes import good_sense, sense
from qekm.dkp.frame import Frame, MessageType, Tag, build
from qekm_gateway.simulator.errand import SENSE_CODES, Errand
from qekm_gateway.simulator.keys import InstalledKey, SessionKey, make_session_key
from qekm_gateway.simulator.sense import DATA_PROTECT
from qekm_gateway.simulator.signatures import Signer

DAY_US = 86_400_000_000


@dataclass(slots=True)
class Drive:
    """One drive; record is told of every key that is installed, before the key manager is."""

    serial: str
    wwnn: bytes
    signer: Signer
    certificates: tuple[bytes, ...]
    vendor: str = "IBM"
    product: str = "ULT3580-TD4"
    firmware: str = "77BE"
    t10_label: bool = False
    session_key: SessionKey | None = None
    record: Callable[[InstalledKey, Errand], None] | None = None
    key: InstalledKey | None = field(default=None, init=False)
    certificate_sha256: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.certificate_sha256 = sha256(self.certificates[0]).digest()

    def current_session_key(self, now_us: int) -> SessionKey:
        """Return the DSK, made anew when it is a day old (docs/protocol.md, section 1)."""
        found = self.session_key
        if found is None or now_us - found.create_time_us >= DAY_US:
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            found = self.session_key = make_session_key(self.serial, self.signer, private, now_us)
        return found

    def notify(self, errand: Errand) -> Frame:
        """Build DRIVER_ERROR_NOTIFY: who the drive is and what it wants."""
        tlvs = (
            (Tag.DRIVE_SERIAL, self.serial.encode()),
            (Tag.DRIVE_WWNN, self.wwnn),
            (Tag.VENDOR, self.vendor.ljust(8).encode()),
            (Tag.PRODUCT, self.product.ljust(16).encode()),
            (Tag.FIRMWARE, self.firmware.ljust(4).encode()),
            (Tag.VOLSER, errand.volser.encode()),
            (Tag.LIBRARY_SERIAL, errand.library_serial.encode()),
            (Tag.MOUNT_ID, errand.mount_id),
            (Tag.DKI, b"" if errand.late else errand.dki),
            (Tag.SENSE, sense(DATA_PROTECT, SENSE_CODES[errand.ask])),
            (Tag.NEXT_BLOCK_ENCRYPTION_STATUS, errand.status_page),
        )
        present = [(int(tag), value) for tag, value in tlvs if value]
        return build(MessageType.DRIVER_ERROR_NOTIFY, 0, 1, present)

    def install(self, key: InstalledKey, errand: Errand) -> bytes:
        """Take a key into volatile memory and return sense data for the key manager: 00/00/00."""
        self.key = key
        if self.record is not None:
            self.record(key, errand)
        return good_sense()

    def clear(self) -> None:
        """Forget the key: at unload (CKOD), and when the host shall write in clear (modes 0/0)."""
        self.key = None
