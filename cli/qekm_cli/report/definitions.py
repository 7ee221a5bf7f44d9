"""What each part of a report counts, and where that comes from; docs/report.md has the same sentences."""

from __future__ import annotations

SERVER = "The server that made this report, as it was then. Source: the service itself."
TRAIL = (
    "Every record is chained to the one before by SHA-256, and signed. For this report the whole chain "
    "was recomputed from its first record on. Keep the head elsewhere: it shows whether a later trail is "
    "this one, gone on. Source: the audit trail."
)
DEGRADED = "What is not as it should be, as qekm server status tells it. Source: the service itself, now."
CERTIFICATES = (
    "The newest certificate of each role and name that was not revoked, the internal authority, drive "
    "authorities, partners; the first to end first. Days are whole ones, below 0 after the end. Source: "
    "the store."
)
PEERS = (
    "The servers of the estate, as this one sees them now. Behind: records that it has yet to take. "
    "Source: the service."
)
KEYS = (
    "Every key that the store holds now, whichever server made it; of a destroyed key only the name is "
    "left. A key's age counts from its making, whole days. Source: the keys of the store."
)
CARTRIDGES = (
    "Cartridges by their volume serials, which libraries and drives tell; a write counts once its drive "
    "confirmed the key. As far back as the store goes, whatever the span. Source: the uses of keys in the "
    "store."
)
DRIVES = (
    "Accepted drives, those with the most exchanges in the span first. New and read: keys that a drive "
    "was given, in the span; refused: requests after it had proved who it is. Source: the drive registry "
    "and the audit trail."
)
SERVING = (
    "A key counts when its record is written, before it leaves: given again to the same mount it counts "
    "again. A request counts as refused whoever made it, also a stranger who proved nothing. Source: the "
    "audit trail (key.create, key.serve, key.none, drive.refuse)."
)
FAILURES = (
    "Records of the span whose outcome is a failure: refusals and errors. Many of one stranger in one "
    "minute are one record that says how many; they are counted one by one here. Who is as the record has "
    "it: role/name of a certificate, a drive, or the network of a stranger; a serial may be claimed. "
    "Source: the audit trail."
)
BACKUPS = (
    "Backups that are kept now, and those made in the span, whatever became of them. Verified: restored "
    "in another process, every key and record of it opened. Drill: a person opened it with what people "
    "have. Source: the store's list of backups and the audit trail (backup.drill, server.restore, "
    "store.adopt)."
)
ENDINGS = (
    "Keys that people deactivated, compromised, condemned or kept in the span, and those whose material "
    "was destroyed. Counted key by key; the table has an act each. Source: the audit trail "
    "(key.deactivate, key.compromise, key.condemn, key.keep, key.destroy, and the calls that they come "
    "from)."
)
EXPORTS = (
    "Keys that left for other sites or programs in the span: who asked, how many, for whom, who approved. "
    "A key counts when its record is written, before it leaves. Source: the audit trail (rpc.ExportKeys, "
    "key.export)."
)
IMPORTS = (
    "Keys taken from other sites or programs in the span. Source: the audit trail (rpc.ImportKeys, "
    "key.import)."
)
APPROVALS = (
    "Requests for a second person that were made or decided in the span. A request ends after 24 hours, "
    "and an approval is used once. Source: the store's list of requests."
)
