"""docs/audit-log.md, made from the tables in the code: `python -m tests.audit_log_page` writes it anew."""

from __future__ import annotations

from qekm.logs.events import EVENTS, TYPES
from qekm.logs.record import Told, text_of
from qekm.model import AuditRecord, Outcome
from qekm.properties import PROPERTIES
from tests.pages import ROOT

PAGE = ROOT / "docs" / "audit-log.md"
EXAMPLE = Told(
    17,
    AuditRecord(
        1_769_860_800_000_007,
        "drive.refuse",
        Outcome.FAILURE,
        "drive/001300000392",
        "001300000392",
        bytes.fromhex("500308C0C0FFEE00"),
        "E01001L4",
        code="EE31",
        message="no key has this DKi",
    ),
    "IBM",
)
HEAD = """\
# The audit log

`keymanager/audit/kms_audit.log` in the home directory is a copy of the store's audit trail in the product
family's format, for people and programs that read that. The truth is the trail: its records are chained
and signed (`qekm audit list`, `qekm audit verify`), and no size bounds it. A record is written here after
the commit that put it into the trail, never before.

## Format

UTF-8 text. A record begins with `AuditRecordType:[` in column 1 and ends with `]` after two spaces;
between them each line is one attribute: two spaces, its name, `=`, its value up to the end of the line.

```text
{example}```

In a value a backslash is written twice, and every character that cannot be seen (line ends of any kind,
control characters, marks that turn the direction of writing) as `\\uNNNN` or `\\UNNNNNNNN`, in hex. So
whatever a drive or a caller sends stays on its line: it can neither end a record nor begin one.

| attribute | of | value |
|---|---|---|
"""
ATTRIBUTES = {
    "timestamp": ("all", "UTC, when the trail's record was made"),
    "event source": ("all", "`qekm-server/` and the first part of the action"),
    "outcome": (
        "all",
        "`[result=successful]`, `[result=unsuccessful]`; `[result=intended]`: about to happen, a later one "
        "tells what came of it",
    ),
    "event type": ("all", "see below"),
    "message": ("those that have one", "one line for people"),
    "authentication type": ("SECURITY_AUTHN", "`certificate`, `command password` or `keystore slot`"),
    "users": ("SECURITY_AUTHN", "who: `role/name` of a certificate; `host` and address of a stranger"),
    "action": ("all", "the event's name in the trail, see below"),
    "command type": ("SECURITY_MGMT_CONFIG", "the call, without `rpc.`"),
    "resource": ("all", "its kind, and its name where the trail has one"),
    "user": (
        "all but SECURITY_AUTHN",
        "who: `role/name`, `drive/SERIAL`, `server` for the service itself, `host` and address",
    ),
    "drive vendor": ("a drive's", "as its entry says, or what the drive itself said when it has none yet"),
    "drive serial number": ("a drive's", "of a stranger, as claimed"),
    "drive WWN": ("a drive's", "world-wide node name, 16 hex digits"),
    "volser": ("a drive's", "volume serial of the cartridge; empty if the library told none"),
    "key alias": ("a drive's and a key's", "empty where there is none"),
    "error": (
        "refusals",
        "ASC and ASCQ as a drive is told, or the reason of an error ([exit-codes.md](exit-codes.md))",
    ),
    "error text": ("refusals with a number", "what it means, as in `qekm errors explain`"),
    "count": ("those that stand for several", "how many"),
    "sequence": ("all of the trail", "place in the trail, from 1; records of the log itself have none"),
}
TYPES_HEAD = """
## Event types

Which classes are written is said by `Audit.event.types`, which outcomes by `Audit.event.outcome` (an
intended one counts as success); both take effect at once. Calls of the administration are `rpc.` and the
name of the call.

| class | event type | resource | actions |
|---|---|---|---|
"""
FOOT = """
## Size, crashes, full disks

The log and its predecessor (`kms_audit.log.1`) have at most `Audit.handler.file.size` kilobytes (of 1,000
bytes; {size} unless set) together; when the log has half of that it becomes the predecessor, and what
that held goes. Both are readable for the service's user only. A file that is deleted, moved away or
emptied is made anew with the next record; what a script moves away is not written again.

What the log lacks after a crash, a full disk or a time in which it could not be written is read from the
trail as soon as it can be written again, as far back as its size goes. No record is in it twice. The log
tells of it in records of its own, without a `sequence`:

| action | meaning |
|---|---|
| `log.resume` | the log could not be written from then on, for this reason; what follows was caught up with |
| `log.gap` | these records of the trail are not in the log: there were more than it holds |
| `log.other` | up to here the log tells of another trail: the store was restored from a backup |

A log that cannot be written never delays a drive or a caller and never stops the service. It is said once
in the process's log, and `qekm server status` shows it as DEGRADED until it is written again.

## The other logs

`keymanager/debug_server` is off until `debug` says otherwise (`all`, or classes: `transport` for frames
and connections, `logic` for decisions; the other classes of the family have no lines of their own), and
is switched while drives work. It holds every frame in hex, each byte of what is, or might be, key
material as `**`: the wrapped key, confirmations, extensions, whatever is not known to be harmless. With
each frame: addresses, serial, vendor, volser, sense data, kind of certificate, signature, session key and
wrapping; then what was decided, with its code. Five files of 10 MB at most, `debug_server.1` to
`debug_server.4` the older ones.

`keymanager/native_stdout.log` has a line for each start and stop of service and gateway and how it ended,
whoever started them; `keymanager/native_stderr.log` the error and hint of those that failed. What `qekm
server start` starts has its output appended there, too. A file of more than 10 MB becomes `.1` when a
process starts.

The process's own log is on standard error, as text or JSON lines (`log.format`). With `log.syslog` (RFC
5424 over UDP, TCP or TLS) and `log.journald` it goes there as well, and so do records of the trail,
chosen as above; with JSON lines these are on standard error, too. Their fields: `sequence`, `event`,
`outcome`, `actor`, `drive_vendor`, `drive_serial`, `drive_wwnn`, `volser`, `alias`, `error`,
`error_text`, `count`, `text`; in syslog's structured data they are parameters of `qekm@32473` and have
facility 13 (log audit), in the journal they are `QEKM_` and their name in capitals. A receiver that is
slow or away delays nobody: up to 8,192 lines wait for it, what has no room is counted, and the number
logged when it is there again. Lines that were on their way when a connection broke are lost uncounted, as
syslog has no acknowledgements; the trail has them.

This page is made from `qekm/logs`; a test compares them.
"""


def page() -> str:
    """Return the page."""
    rows = [f"| `{name}` | {who} | {what} |\n" for name, (who, what) in ATTRIBUTES.items()]
    types = []
    for category, type_ in TYPES.items():
        resources = dict.fromkeys(event.resource for event in EVENTS.values() if event.category == category)
        if not resources:
            types.append(
                f"| `{category}` | `{type_}` | | none: there is no second key manager to send to yet |\n"
            )
        for resource in resources:
            names = sorted(
                name
                for name, event in EVENTS.items()
                if (event.category, event.resource) == (category, resource)
            )
            told = ", ".join(f"`{name}`" for name in names)
            types.append(f"| `{category}` | `{type_}` | {resource} | {told} |\n")
    size = f"{int(PROPERTIES['Audit.handler.file.size'].default):,}"
    head = HEAD.replace("{example}", text_of(EXAMPLE).decode())
    return head + "".join(rows) + TYPES_HEAD + "".join(types) + FOOT.replace("{size}", size)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
