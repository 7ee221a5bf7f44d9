"""Properties of drives: who is served, and with which keys."""

from __future__ import annotations

from qekm.properties.property import Property
from qekm.properties.readers import choice, file_or_none, plain_text, text_or_none, whole

DRIVES = (
    Property(
        "drive.acceptUnknownDrives",
        choice("true", "false", "pending"),
        "true",
        "original",
        "Serve a drive that is not in the table: true, false, or pending (wait for an administrator).",
        dynamic=True,
        shared=True,
    ),
    Property(
        "drive.creationsPerHour",
        whole(1, 1_000_000),
        "120",
        "ours",
        "New keys for one drive in an hour.",
        dynamic=True,
        shared=True,
    ),
    Property(
        "drive.optionalEncryption",
        choice("create", "clear"),
        "create",
        "ours",
        "A drive that leaves it to us gets a new key (create) or writes in clear (clear).",
        dynamic=True,
        local=True,
    ),
    Property(
        "drive.default.alias1",
        text_or_none,
        "",
        "original",
        "Key group of a drive whose entry names neither a key nor a group; tried first.",
        dynamic=True,
        shared=True,
        also=("default.drive.alias1",),
    ),
    Property(
        "drive.default.alias2",
        text_or_none,
        "",
        "original",
        "The same, tried second; then comes symmetricKeySet.",
        dynamic=True,
        shared=True,
        also=("default.drive.alias2",),
    ),
    Property(
        "symmetricKeySet",
        plain_text,
        "default",
        "original",
        "The default key group: of drives for which nothing else names one.",
        dynamic=True,
        shared=True,
    ),
    Property(
        "config.drivetable.file.url",
        file_or_none,
        "",
        "original",
        "The drive table is written here, as CSV, after each change, and never read; relative to the home.",
        dynamic=True,
        local=True,
    ),
)
