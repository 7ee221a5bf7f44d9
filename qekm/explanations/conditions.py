"""The family's codes that only drives and libraries tell: what they say, and where to look here."""

from __future__ import annotations

from qekm.explanations.explanation import Explanation

NOTHING = "Nothing; the library asks again by itself."
TRAIL = "See what was asked and answered here: `qekm audit list --drive SERIAL`."
PATH = "Test the whole path to a key: `qekm diagnose`."
LIBRARY = "Look at the library's own log for the drive, and at its settings for encryption and key servers."
CARTRIDGE = "See with which keys the cartridge was written: `qekm keys of VOLSER`."
KEY = "See whether that key is here and serves: `qekm keys show ALIAS`."
HARDWARE = (
    "If other keys and cartridges work in this drive, suspect the cartridge; else have the drive examined."
)
SERVICE = (LIBRARY, "See whether gateway and service run: `qekm server status`.", PATH)
MESSAGE = (TRAIL, LIBRARY, "Bring the firmware of drive and library up to date.")
READING = (CARTRIDGE, KEY, TRAIL, HARDWARE)


def condition(
    code: str, keys: tuple[int, ...], title: str, drive: str, actions: tuple[str, ...], here: str = ""
) -> Explanation:
    """Return a row of what a drive or a library tells."""
    return Explanation(code, "condition", title, keys, drive, here, actions)


CONDITIONS = (
    condition("EE00", (5,), "Key service not enabled", "Encryption by the library is switched off.", SERVICE),
    condition(
        "EE01", (5,), "Key service not configured", "The library has no key server's address.", SERVICE
    ),
    condition(
        "EE0D", (5,), "Message content error", "The drive does not accept what a message holds.", MESSAGE
    ),
    condition("EE12", (6,), "Key change detected", "Another key was set in the drive.", (NOTHING,)),
    condition("EE18", (6,), "Encryption changed (read)", "The drive now reads with another key.", (NOTHING,)),
    condition(
        "EE19", (6,), "Encryption changed (write)", "The drive now writes with another key.", (NOTHING,)
    ),
    condition("EE20", (5,), "Key count exceeded", "More keys than the drive can hold.", MESSAGE),
    condition("EE21", (5,), "Key alias exceeded", "More key names than the drive can hold.", MESSAGE),
    condition("EE22", (5,), "Key reserved", "The key slot is reserved for somebody else.", MESSAGE),
    condition("EE24", (5,), "Key method change", "Somebody changed how the drive gets keys.", (LIBRARY,)),
    condition(
        "EE26",
        (5,),
        "Unauthorized request (drive key)",
        "The drive's authentication key is refused.",
        MESSAGE,
    ),
    condition(
        "EE27", (5,), "Unauthorized request (session key)", "The drive's session key is refused.", MESSAGE
    ),
    condition(
        "EE28",
        (5,),
        "Unauthorized request (server key)",
        "The key manager's authentication key is refused.",
        (
            "Compare the server anchor, `qekm server status`, with the one that the drive was given.",
            *MESSAGE,
        ),
    ),
    condition(
        "EE2A",
        (5,),
        "Invalid key identifier request",
        "The key identifier that was asked back is invalid.",
        MESSAGE,
    ),
    condition(
        "EE2F",
        (5,),
        "New key, encrypted write pending",
        "A new key came while data still waits.",
        (TRAIL, LIBRARY),
    ),
    condition("EE30", (5,), "Prohibited request", "The drive does not do what was asked of it.", MESSAGE),
    condition(
        "EE32",
        (5,),
        "Unauthorized request (drive certificate)",
        "The drive's certificate is refused.",
        ("See whether its authority is trusted: `qekm drives authorities list`.", *MESSAGE),
        "Later products of the family also told by it that a key is missing or renamed; here that is EE31.",
    ),
    condition(
        "EE40", (6,), "Key manager identifier changed", "Another key manager answers than before.", (NOTHING,)
    ),
    condition(
        "EE41", (6,), "Key manager challenge changed", "The key manager drew another challenge.", (NOTHING,)
    ),
    condition("EE42", (5,), "Key manager challenge pending", "A challenge was not answered yet.", (NOTHING,)),
    condition(
        "EE50",
        (6,),
        "Initiator identifier changed",
        "Another host or library speaks than before.",
        (NOTHING,),
    ),
    condition(
        "EE51", (6,), "Initiator response changed", "The host or library answered differently.", (NOTHING,)
    ),
    condition("EE60", (3,), "Proxy command error", "The library could not pass a message on.", SERVICE),
    condition("EED0", (3,), "Decryption failed on reading", "What was read cannot be decrypted.", READING),
    condition(
        "EED1", (3,), "Decryption failed on verifying", "What was just written cannot be decrypted.", READING
    ),
    condition(
        "EEE0",
        (3,),
        "Key translation failure",
        "No key could be had for the identifier on the tape.",
        READING,
    ),
    condition(
        "EEE2",
        (5,),
        "Key translation disallowed",
        "The drive may not ask for the key on the tape.",
        (LIBRARY, TRAIL),
    ),
    condition(
        "EEF0",
        (3,),
        "Decryption fenced",
        "The drive has switched its decryption off after an error.",
        ("Unload the cartridge and start the drive again.", HARDWARE),
    ),
    condition(
        "EEF1",
        (3,),
        "Encryption fenced",
        "The drive has switched its encryption off after an error.",
        ("Unload the cartridge and start the drive again.", HARDWARE),
    ),
    condition("EEFF", (5,), "Prohibited by security", "The drive's security settings forbid it.", (LIBRARY,)),
    condition(
        "EF31",
        (7,),
        "Key unknown",
        "No key could be had; as EE31, told through the library.",
        READING,
        "The library's way of telling our EE31: `qekm errors explain EE31`.",
    ),
)
