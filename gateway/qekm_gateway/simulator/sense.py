"""SCSI sense codes of a drive: how it tells a host that a command did not end well (SPC-4, 4.5; SSC-4)."""

from __future__ import annotations

NOT_READY, MEDIUM_ERROR, ILLEGAL_REQUEST, DATA_PROTECT, BLANK_CHECK = 0x2, 0x3, 0x5, 0x7, 0x8

# Additional sense code << 8 | its qualifier.
END_OF_DATA = 0x0005
NOT_LOADED = 0x3A00
FORMAT_CORRUPTED = 0x3100
WRITE_PROTECTED = 0x2700
UNABLE_TO_DECRYPT_PARAMETERS = 0x740C
UNENCRYPTED_WHILE_DECRYPTING = 0x7402
INCORRECT_KEY = 0x7403
INTEGRITY_FAILED = 0x7404
NOT_AUTHENTICATED = 0x7440
KEY_MANAGER_AWAY = 0x7461

_TEXTS = {
    END_OF_DATA: "end of data detected",
    NOT_LOADED: "medium not present",
    FORMAT_CORRUPTED: "medium format corrupted",
    WRITE_PROTECTED: "write protected",
    UNABLE_TO_DECRYPT_PARAMETERS: "unable to decrypt parameter list",
    UNENCRYPTED_WHILE_DECRYPTING: "unencrypted data encountered while decrypting",
    INCORRECT_KEY: "incorrect data encryption key",
    INTEGRITY_FAILED: "cryptographic integrity validation failed",
    NOT_AUTHENTICATED: "authentication failed",
    KEY_MANAGER_AWAY: "external data encryption key manager access error",
    0x7462: "external data encryption key manager error",
    0x7463: "external data encryption key not found",
    0x7464: "external data encryption request not authorized",
    0x746F: "external data encryption control error",
}


class CheckCondition(Exception):
    """A drive ended a command with sense data; its text begins as people write it: 07/74/03."""

    def __init__(self, sense_key: int, code: int, detail: str = "") -> None:
        self.sense_key = sense_key
        self.code = code
        self.detail = detail
        text = detail or _TEXTS.get(code, "")
        super().__init__(f"{self.triple} {text}".rstrip())

    @property
    def triple(self) -> str:
        """Sense key, ASC and ASCQ in hex, as 07/74/03."""
        return f"{self.sense_key:02X}/{self.code >> 8:02X}/{self.code & 0xFF:02X}"
