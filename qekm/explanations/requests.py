"""The codes with which drives ask: sense data of a session's first message (docs/protocol.md, section 5)."""

from __future__ import annotations

from qekm.explanations.explanation import Explanation

_FINE = "Nothing, as long as a key follows: `qekm audit list --drive SERIAL`."
_STUCK = "If the library reports it to you, no key came: see `qekm diagnose` and `qekm audit list --failed`."
_ASK = (_FINE, _STUCK)

REQUESTS = (
    Explanation(
        "EE10",
        "request",
        "Key required",
        (5,),
        "A key is needed to go on.",
        "As EF10: the key of the identifier that comes with it, or, without one, a key to write with.",
        _ASK,
    ),
    Explanation(
        "EE11",
        "request",
        "Key generation",
        (6,),
        "A key is needed to write from the beginning of a tape.",
        "As EF11: a key that no other cartridge has.",
        _ASK,
    ),
    Explanation(
        "EE13",
        "request",
        "Key translation",
        (6,),
        "The key for an identifier that is on the tape is needed.",
        "As EF13: the key of that identifier.",
        _ASK,
    ),
    Explanation(
        "EF10",
        "request",
        "Key required",
        (6, 7),
        "A key is asked for through the library.",
        "Acquisition: the key of the identifier that comes with it, or, without one, a key to write with.",
        _ASK,
    ),
    Explanation(
        "EF11",
        "request",
        "Key generation",
        (6, 7),
        "A key to write from the beginning of a tape is asked for through the library.",
        "Creation: a key that no other cartridge has.",
        _ASK,
    ),
    Explanation(
        "EF13",
        "request",
        "Key translation",
        (0, 1, 6, 7),
        "The key for an identifier that is on the tape is asked for through the library; no error.",
        "Translation: the key of that identifier.",
        _ASK,
    ),
    Explanation(
        "EF1A",
        "request",
        "Key optional",
        (6, 7),
        "The drive leaves it to the key service whether it encrypts.",
        "A key as for EF11, or leave to write in clear, as `drive.optionalEncryption` says.",
        ("See what applies: `qekm listconfig`.", *_ASK),
    ),
    Explanation(
        "EFC0",
        "request",
        "No operation",
        (7,),
        "A library tests the way to the key service.",
        "Answered at once, without a key: the way is open, no more.",
        ("Test the way to a key, too: `qekm diagnose`.",),
    ),
)
