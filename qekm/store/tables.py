"""The tables, in the order in which rows may be written: parents before children.

Columns stand in the order of the noun's fields in qekm/model.py. The history of the schema is in migrations/;
a test holds the two together. Times are microseconds since 1970 UTC, enumerations their numbers there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
)

metadata = MetaData()

# SQLite's STRICT tables know INTEGER only (it holds 64 bits), PostgreSQL's INTEGER holds 32.
Long = BigInteger().with_variant(Integer(), "sqlite")


def _table(name: str, *columns: Column[Any]) -> Table:
    """Declare a table whose columns are all required; SQLite checks the types too (STRICT)."""
    for column in columns:
        column.nullable = column.name == "signature"
    return Table(name, metadata, *columns, sqlite_strict=True)


estate = _table("estate", Column("estate_id", LargeBinary, primary_key=True))

slots = _table("slots", Column("name", Text, primary_key=True), Column("sealed", LargeBinary))

settings = _table("settings", Column("name", Text, primary_key=True), Column("value", Text))

vaults = _table(
    "vaults",
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary),
    Column("certificate", LargeBinary),
)

authorities = _table(
    "authorities",
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate", LargeBinary),
    Column("subject", Text),
    Column("expire_time_us", Long),
    Column("create_time_us", Long),
)

certificates = _table(
    "certificates",
    Column("serial", Text, primary_key=True),
    Column("role", Integer),
    Column("name", Text),
    Column("start_time_us", Long),
    Column("expire_time_us", Long),
    Column("authority", LargeBinary),
    Column("revoke_time_us", Long),
    Column("hosts", Text),  # JSON array of names
)

blocked_keys = _table(
    "blocked_keys", Column("spki_sha256", LargeBinary, primary_key=True), Column("create_time_us", Long)
)

groups = _table(
    "groups",
    Column("name", Text, primary_key=True),
    Column("on_exhaustion", Integer),
    Column("is_default", Integer),
    Column("create_time_us", Long),
)

keys = _table(
    "keys",
    Column("key_id", LargeBinary, primary_key=True),
    Column("alias", Text),
    Column("dki", LargeBinary, unique=True),
    Column("created_seq", Long),
    Column("create_time_us", Long),
    Column("epoch", Long),
    Column("sealed", LargeBinary),
    Column("check_value", LargeBinary),
    Column("group", Text, ForeignKey("groups.name")),
    Column("state", Integer),
    Column("version", Long),
    Column("assign_time_us", Long),
    Column("drive_serial", Text),
    Column("volser", Text),
    Column("mount_id", LargeBinary),
)
# Two aliases that differ in case only cannot both exist (docs/protocol.md, key names).
Index("keys_alias", func.lower(keys.c.alias), unique=True)

drives = _table(
    "drives",
    Column("serial", Text, primary_key=True),
    Column("state", Integer),
    Column("create_time_us", Long),
    Column("wwnn", LargeBinary),
    Column("vendor", Text),
    Column("product", Text),
    Column("firmware", Text),
    Column("spki_sha256", LargeBinary),
    Column("last_seen_time_us", Long),
    Column("allowed_groups", Text),  # JSON array of names
    Column("group", Text),
    Column("alias", Text),
    Column("confirm", Integer),
    Column("label_mode", Integer),
    Column("library_serial", Text),
)

cartridges = _table(
    "cartridges",
    Column("id", Long, primary_key=True, autoincrement=True),
    Column("volser", Text, index=True),
    Column("alias", Text, index=True),
    Column("drive_serial", Text),
    Column("drive_wwnn", LargeBinary),
    Column("write_time_us", Long),
)

audit = _table(
    "audit",
    Column("sequence", Long, primary_key=True, autoincrement=False),
    Column("time_us", Long),
    Column("event", Text),
    Column("outcome", Integer),
    Column("actor", Text),
    Column("drive_serial", Text),
    Column("drive_wwnn", LargeBinary),
    Column("volser", Text),
    Column("alias", Text),
    Column("code", Text),
    Column("message", Text),
    Column("count", Long),
    Column("hash", LargeBinary),
    Column("signature", LargeBinary),
)
