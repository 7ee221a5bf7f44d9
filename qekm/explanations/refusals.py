"""The codes with which drives are refused: the original's twelve in its words, and two of later products."""

from __future__ import annotations

from qekm.explanations.explanation import Explanation

_WHO = "Find the drive, the cartridge and the reason: `qekm audit list --failed`."
_ENTRY = "Look at its entry: `qekm drives show SERIAL` (`qekm listdrives -drivename SERIAL -verbose`)."
_VERSIONS = "Compare the version, `qekm server version` (`versionQEKMServer`), with the newest release."
_FIRMWARE = "Bring the firmware of drive and library up to date."
_DEBUG = (
    "Switch the debug log on: `debugOnQEKMServer`.",
    "Have it happen again, and keep `keymanager/debug_server` and what `qekm audit list` tells.",
    "Switch the debug log off: `debugOffQEKMServer`.",
    "Report it, with both and the versions of drive and library.",
)
_FORM = (_WHO, _VERSIONS, _FIRMWARE, *_DEBUG)

REFUSALS = (
    Explanation(
        "EE02",
        "refusal",
        "Encryption Read Message Failure: DriverErrorNotifyParameterError: "
        '"Bad ASC & ASCQ received. ASC & ASCQ does not match with either of '
        'Key Creation/Key Translation/Key Acquisition operation."',
        (5,),
        "The key service is not available.",
        "A drive began a session with sense data that asks for nothing a key manager does.",
        _FORM,
    ),
    Explanation(
        "EE0E",
        "refusal",
        "Key service timeout",
        (4, 7),
        "No answer of the key service came in time.",
        "A session ran out of time: the drive, the library or the gateway went silent. Never sent; the audit "
        "trail calls it so. A key that had been given is put aside until the same mount asks again.",
        (
            _WHO,
            "Test the whole path: `qekm diagnose`.",
            "See whether gateway and service run: `qekm server status` (`statusQEKMServer`).",
            "Look for cut connections between library and server: cable, switch, firewall.",
            "Give slow drives more time: `dkp.stepTimeout`, `dkp.sessionTimeout`.",
        ),
    ),
    Explanation(
        "EE0F",
        "refusal",
        'Encryption logic error: Internal error: "Unexpected error. Internal programming error in EKM."',
        (4, 7),
        "The key service failed.",
        "Something of ours went wrong that is no drive's business, or too many sessions came from one "
        "address. Drives go to the next server. The log of the service has the details.",
        (
            "See what is not as it should be: `qekm server status`.",
            "Read the end of `keymanager/native_stderr.log`, and the trail: `qekm audit list --failed`.",
            "If an incident is named there, report its number with that part of the log.",
            _VERSIONS,
            *_DEBUG,
        ),
    ),
    Explanation(
        "EE23",
        "refusal",
        'Encryption Read Message Failure: Internal error: "Unexpected error....."',
        (5,),
        "A key conflict: a key identifier is used that is in use already.",
        "What came is no frame of the protocol: wrong form, a field that is missing, repeated or not "
        "allowed. The connection is closed. Port scanners do that, too.",
        (
            _WHO,
            "See whether the sender is a drive or a library at all; keep others away with a firewall.",
            "If drives must use TLS (`dkp.tls`), see that the library does.",
            _VERSIONS,
            *_DEBUG,
        ),
    ),
    Explanation(
        "EE25",
        "refusal",
        "Encryption Configuration Problem: Errors that are related to the drive table occurred.",
        (5,),
        "The format of the key is not supported.",
        "The drive and its entry in the registry disagree: world-wide node name, product, or the public "
        "key that was pinned when it was first served. Or the name is another drive's.",
        (
            _WHO,
            _ENTRY,
            "If the drive was replaced under the same serial, have its public key pinned anew: "
            "`qekm drives modify SERIAL --unpin`; if its name changed, too: "
            "`qekm drives modify SERIAL --wwnn HEX`.",
            "If another entry has its name, remove that one: `qekm drives remove SERIAL` "
            "(`qekm deldrive -drivename SERIAL`).",
            "`config.drivetable.file.url` is not read while the service runs: correct entries with the "
            "commands above.",
            _VERSIONS,
            _FIRMWARE,
            *_DEBUG,
        ),
        ("DRIVE_EXISTS",),
    ),
    Explanation(
        "EE29",
        "refusal",
        "Encryption Read Message Failure: Invalid signature",
        (5,),
        "The authentication failed.",
        "The signature of a message, or the proof that the key was installed, is wrong: the message was "
        "changed on its way, or its sender does not have the private key of the certificate it shows.",
        (
            _WHO,
            "If it is always the same drive: take it out of service, and have it examined.",
            "If a bridge stands between drive and server that cannot see keys, say so in the entry: "
            "`qekm drives modify SERIAL --no-confirm`.",
            _VERSIONS,
            *_DEBUG,
        ),
    ),
    Explanation(
        "EE2B",
        "refusal",
        "Encryption Read Message Failure: Internal error: "
        '"Either no signature in DSK or signature in DSK can not be verified."',
        (5,),
        "The key is incorrect.",
        "The drive's certificate is not accepted (authority, dates, serial, use), its public key was "
        "blocked, or the signature of its session key is missing or wrong.",
        (
            _WHO,
            "See whether the authority of its certificate is trusted: `qekm drives authorities list`; "
            "if not, add it: `qekm drives authorities add FILE`.",
            "See whether its public key was blocked: `qekm drives blocked list`; "
            "if that was a mistake: `qekm drives blocked remove HEX`.",
            "Compare the server's clock with the dates of the certificate.",
            _VERSIONS,
            _FIRMWARE,
            *_DEBUG,
        ),
        ("BAD_CERTIFICATE", "UNKNOWN_AUTHORITY"),
    ),
    Explanation(
        "EE2C",
        "refusal",
        "Encryption Read Message Failure: QueryDSKParameterError: "
        '"Error parsing a QueryDSKMessage from a device. Unexpected dsk count or unexpected payload."',
        (5,),
        "The key could not be wrapped.",
        "The list of session keys that the drive sent is cut off, holds more or less than one, or one "
        "that cannot be used: RSA of 2,048 or 3,072 bits is.",
        _FORM,
    ),
    Explanation(
        "EE2D",
        "refusal",
        "Encryption Read Message Failure: Invalid Message Type",
        (5,),
        "A message is out of sequence.",
        "A message of an unknown type, or one that is not due now, or of a session that is over or "
        "another connection's.",
        (
            _WHO,
            "If it comes after long pauses, sessions ran out of time: look for EE0E before it.",
            *_FORM[1:],
        ),
    ),
    Explanation(
        "EE2E",
        "refusal",
        "Encryption Read Message Failure: Internal error: Invalid signature type",
        (5,),
        "A type that is not supported.",
        "A signature of a type that is unknown, switched off, or not that of the certificate's key.",
        _FORM,
    ),
    Explanation(
        "EE31",
        "refusal",
        "Encryption Configuration Problem: Errors that are related to the keystore occurred.",
        (5, 7),
        "The key is unknown.",
        "There is no such key here, the drive may not have it, it is another drive's, it is destroyed or "
        "about to be, or its record in the store is damaged.",
        (
            "See which key was asked for, and why not: `qekm audit list --failed`.",
            "Look the key up: `qekm keys show ALIAS`, or by cartridge: `qekm keys of VOLSER`. If it is "
            "another site's, have that site export it, and take it in: `qekm keys import FILE`.",
            _ENTRY,
            "If its entry does not allow the key's group: `qekm drives modify SERIAL --allow-group NAME`.",
            "If the entry names no key: look at `symmetricKeySet`, `drive.default.alias1` and "
            "`drive.default.alias2` with `qekm listconfig`.",
            "If the trail says that a record is damaged: `qekm backup list`, then restore the newest one "
            "that was proved.",
            *_DEBUG,
        ),
        ("UNKNOWN_KEY", "UNKNOWN_GROUP", "KEY_NOT_ALLOWED", "KEY_IN_USE", "STORE_DAMAGED"),
    ),
    Explanation(
        "EE34",
        "refusal",
        "No key to serve",
        (5,),
        "No key is left to be served.",
        "No key may be given for a new cartridge: all keys of the group were used and its policy forbids "
        "using one twice; new ones still wait for a backup or a peer; no peer is there to know of the key "
        "(`peers.strict`); this store may be an old copy; or the drive has asked for too many. Cartridges "
        "are read all the same.",
        (
            "See which of these it is: `qekm server status`.",
            "Count the keys of the group: `qekm groups list`; make new ones: "
            "`qekm keys generate 1024 --group NAME`.",
            "If keys wait for a backup: `qekm backup list` says why the last one failed; then "
            "`qekm backup create`.",
            "If a peer is away: `qekm peers status` says why.",
            "If it is READ ONLY: put the present store back, or, if there is none, stop the service and run "
            "`qekm-server adopt`.",
            "If one drive asks again and again: look at its library, or raise `drive.creationsPerHour`.",
        ),
        ("POOL_EMPTY", "READ_ONLY", "PEER_AWAY", "TOO_MANY"),
    ),
    Explanation(
        "EEE1",
        "refusal",
        'Encryption logic error: Internal error: "Unexpected error: EK/EEDK flags conflict with subpage."',
        (3,),
        "The key translation is ambiguous.",
        "What a message says contradicts itself: flags and fields, two names of one key, a key asked for "
        "what is not encrypted; or it carries a wrapped key (EEDK), which LTO does not have.",
        _FORM,
    ),
    Explanation(
        "EF01",
        "refusal",
        'Encryption Configuration Problem: "Drive not configured."',
        (5, 6),
        "The key service is not configured.",
        "The drive is not in the registry, or it waits there, and unknown drives are not accepted.",
        (
            "See whether it waits: `qekm drives list --state pending`; if so, let it in: "
            "`qekm drives accept SERIAL`.",
            "See whether it is there at all: `qekm drives list` (`qekm listdrives`, `listDrivesQEKMServer`). "
            "If not, add it: `qekm drives add SERIAL` (`qekm adddrive -drivename SERIAL`).",
            "Or have every drive of a trusted authority accepted: "
            "`qekm config set drive.acceptUnknownDrives=true` "
            "(`qekm modconfig -set -property drive.acceptUnknownDrives -value true`).",
            "`config.drivetable.file.url` is not read while the service runs; take a table in with "
            "`qekm drives import FILE --merge`.",
            *_DEBUG,
        ),
        ("UNKNOWN_DRIVE",),
    ),
)
