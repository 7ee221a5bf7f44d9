"""The codes that only drives and libraries tell: what they say, and where to look here."""

from __future__ import annotations

from qekm.explanations.explanation import Explanation

_NONE = "Nothing; the library asks again by itself."
_TRAIL = "See what was asked and answered here: `qekm audit list --drive SERIAL`."
_PATH = "Test the whole path to a key: `qekm diagnose`."
_LIBRARY = "Look at the library's own log for the drive, and at its settings for encryption and key servers."
_CARTRIDGE = "See with which keys the cartridge was written: `qekm keys of VOLSER`."
_KEY = "See whether that key is here and serves: `qekm keys show ALIAS`."
_HARDWARE = (
    "If other keys and cartridges work in this drive, suspect the cartridge; else have the drive examined."
)
_SERVICE = (_LIBRARY, "See whether gateway and service run: `qekm server status`.", _PATH)
_MESSAGE = (_TRAIL, _LIBRARY, "Bring the firmware of drive and library up to date.")
_READING = (_CARTRIDGE, _KEY, _TRAIL, _HARDWARE)


def _row(
    code: str, keys: tuple[int, ...], title: str, drive: str, actions: tuple[str, ...], here: str = ""
) -> Explanation:
    return Explanation(code, "condition", title, keys, drive, here, actions)


CONDITIONS = (
    _row("EE00", (5,), "Key service not enabled", "Encryption by the library is switched off.", _SERVICE),
    _row("EE01", (5,), "Key service not configured", "The library has no key server's address.", _SERVICE),
    _row("EE0D", (5,), "Message content error", "The drive does not accept what a message holds.", _MESSAGE),
    _row("EE12", (6,), "Key change detected", "Another key was set in the drive.", (_NONE,)),
    _row("EE18", (6,), "Encryption changed (read)", "The drive now reads with another key.", (_NONE,)),
    _row("EE19", (6,), "Encryption changed (write)", "The drive now writes with another key.", (_NONE,)),
    _row("EE20", (5,), "Key count exceeded", "More keys than the drive can hold.", _MESSAGE),
    _row("EE21", (5,), "Key alias exceeded", "More key names than the drive can hold.", _MESSAGE),
    _row("EE22", (5,), "Key reserved", "The key slot is reserved for somebody else.", _MESSAGE),
    _row("EE24", (5,), "Key method change", "Somebody changed how the drive gets keys.", (_LIBRARY,)),
    _row(
        "EE26",
        (5,),
        "Unauthorized request (drive key)",
        "The drive's authentication key is refused.",
        _MESSAGE,
    ),
    _row("EE27", (5,), "Unauthorized request (session key)", "The drive's session key is refused.", _MESSAGE),
    _row(
        "EE28",
        (5,),
        "Unauthorized request (server key)",
        "The key manager's authentication key is refused.",
        (
            "Compare the server anchor, `qekm server status`, with the one that the drive was given.",
            *_MESSAGE,
        ),
    ),
    _row(
        "EE2A",
        (5,),
        "Invalid key identifier request",
        "The key identifier that was asked back is invalid.",
        _MESSAGE,
    ),
    _row(
        "EE2F",
        (5,),
        "New key, encrypted write pending",
        "A new key came while data still waits.",
        (_TRAIL, _LIBRARY),
    ),
    _row("EE30", (5,), "Prohibited request", "The drive does not do what was asked of it.", _MESSAGE),
    _row(
        "EE32",
        (5,),
        "Unauthorized request (drive certificate)",
        "The drive's certificate is refused.",
        ("See whether its authority is trusted: `qekm drives authorities list`.", *_MESSAGE),
        "Later products of the family also told by it that a key is missing or renamed; here that is EE31.",
    ),
    _row(
        "EE40", (6,), "Key manager identifier changed", "Another key manager answers than before.", (_NONE,)
    ),
    _row("EE41", (6,), "Key manager challenge changed", "The key manager drew another challenge.", (_NONE,)),
    _row("EE42", (5,), "Key manager challenge pending", "A challenge was not answered yet.", (_NONE,)),
    _row(
        "EE50", (6,), "Initiator identifier changed", "Another host or library speaks than before.", (_NONE,)
    ),
    _row("EE51", (6,), "Initiator response changed", "The host or library answered differently.", (_NONE,)),
    _row("EE60", (3,), "Proxy command error", "The library could not pass a message on.", _SERVICE),
    _row("EED0", (3,), "Decryption failed on reading", "What was read cannot be decrypted.", _READING),
    _row(
        "EED1", (3,), "Decryption failed on verifying", "What was just written cannot be decrypted.", _READING
    ),
    _row(
        "EEE0",
        (3,),
        "Key translation failure",
        "No key could be had for the identifier on the tape.",
        _READING,
    ),
    _row(
        "EEE2",
        (5,),
        "Key translation disallowed",
        "The drive may not ask for the key on the tape.",
        (_LIBRARY, _TRAIL),
    ),
    _row(
        "EEF0",
        (3,),
        "Decryption fenced",
        "The drive has switched its decryption off after an error.",
        ("Unload the cartridge and start the drive again.", _HARDWARE),
    ),
    _row(
        "EEF1",
        (3,),
        "Encryption fenced",
        "The drive has switched its encryption off after an error.",
        ("Unload the cartridge and start the drive again.", _HARDWARE),
    ),
    _row("EEFF", (5,), "Prohibited by security", "The drive's security settings forbid it.", (_LIBRARY,)),
    _row(
        "EF31",
        (7,),
        "Key unknown",
        "No key could be had; as EE31, told through the library.",
        _READING,
        "The library's way of telling our EE31: `qekm errors explain EE31`.",
    ),
    _row("7400", (7,), "Security error", "The drive names no cause.", _READING),
    _row(
        "7401", (7,), "Unable to decrypt", "The data cannot be decrypted with the key that is set.", _READING
    ),
    _row(
        "7402",
        (7,),
        "Clear data while decrypting",
        "The drive decrypts, and the data is not encrypted.",
        (_CARTRIDGE, _LIBRARY),
    ),
    _row(
        "7403",
        (7,),
        "Incorrect key",
        "The cartridge was written with another key than the one set.",
        _READING,
    ),
    _row(
        "7404",
        (7,),
        "Integrity check failed",
        "The data was changed, or was written with another key.",
        _READING,
    ),
    _row("7405", (7,), "Error while decrypting", "Decryption broke off.", _READING),
    _row(
        "740C",
        (5,),
        "Unable to decrypt the parameter list",
        "The drive could not unwrap the key it was sent.",
        _MESSAGE,
        "Reported after a key was sent: the key is put aside until the same mount asks again.",
    ),
    _row("7461", (7,), "Key manager access error", "The key manager could not be reached.", _SERVICE),
    _row(
        "7462",
        (7,),
        "Key manager error",
        "The key manager failed.",
        _SERVICE,
        "Sent beside EE0F: `qekm errors explain EE0F`.",
    ),
    _row(
        "7463",
        (7,),
        "Key not found",
        "The key manager has no such key.",
        _READING,
        "Sent beside EE31 and EE34: `qekm errors explain EE31`, `qekm errors explain EE34`.",
    ),
    _row(
        "7464",
        (7,),
        "Request not authorized",
        "The key manager does not serve this drive.",
        _MESSAGE,
        "Sent beside EE25, EE29, EE2B, EE2E and EF01: the trail has the one that it was.",
    ),
    _row(
        "746E",
        (7,),
        "Key manager timeout",
        "The key manager did not answer in time.",
        _SERVICE,
        "Goes with EE0E, which is never sent: `qekm errors explain EE0E`.",
    ),
    _row(
        "746F",
        (7,),
        "Key manager protocol error",
        "The key manager did not accept a message.",
        _MESSAGE,
        "Sent beside EE02, EE23, EE2C, EE2D and EEE1: the trail has the one that it was.",
    ),
    _row(
        "2610",
        (7,),
        "Too many wrong keys",
        "The drive takes no more keys after too many wrong ones.",
        ("Unload the cartridge, or start the drive again: that ends it.", *_READING),
    ),
    _row(
        "2A11",
        (6,),
        "Encryption parameters changed by another host",
        "Another host set the key.",
        (_LIBRARY,),
    ),
    _row(
        "2A12",
        (6,),
        "Encryption parameters changed by the drive",
        "The drive or its library set the key.",
        (_NONE,),
    ),
    _row(
        "2A13",
        (7,),
        "Key instance counter changed",
        "The key was replaced since it was last looked at.",
        (_NONE,),
    ),
)
