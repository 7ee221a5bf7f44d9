"""The tables, in the order in which rows may be written: parents before children.

Columns stand in the order of the noun's fields in qekm/model. The history of the schema is in migrations/;
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
    text,
)

metadata = MetaData()

# SQLite's STRICT tables know INTEGER only (it holds 64 bits), PostgreSQL's INTEGER holds 32.
Long = BigInteger().with_variant(Integer(), "sqlite")


def _table(name: str, *columns: Column[Any]) -> Table:
    """Declare a table whose columns are all required; SQLite checks the types too (STRICT)."""
    for column in columns:
        column.nullable = name == "audit" and column.name == "signature"
    return Table(name, metadata, *columns, sqlite_strict=True)


def _sealed(name: str, *columns: Column[Any]) -> Table:
    """Declare a table whose rows each end in a MAC (qekm/sealing/seals.py)."""
    return _table(name, *columns, Column("mac", LargeBinary, server_default=text("x''")))


estate = _table("estate", Column("estate_id", LargeBinary, primary_key=True))

# One row: what the whole store is at its last commit.
roots = _table(
    "roots",
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Long),
    Column("sequence", Long),  # of commits
    Column("row_count", Long),
    Column("anchored", Integer),  # whether an anchor file was ever written: then it must be there
    Column("mac", LargeBinary),
)

slots = _sealed(
    "slots",
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary),
    Column("kind", Text, server_default=text("''")),
    Column("create_time_us", Long, server_default=text("0")),
)

settings = _sealed("settings", Column("name", Text, primary_key=True), Column("value", Text))

vaults = _sealed(
    "vaults",
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary),
    Column("certificate", LargeBinary),
)

authorities = _sealed(
    "authorities",
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate", LargeBinary),
    Column("subject", Text),
    Column("expire_time_us", Long),
    Column("create_time_us", Long),
)

certificates = _sealed(
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

blocked_keys = _sealed(
    "blocked_keys", Column("spki_sha256", LargeBinary, primary_key=True), Column("create_time_us", Long)
)

groups = _sealed(
    "groups",
    Column("name", Text, primary_key=True),
    Column("on_exhaustion", Integer),
    Column("is_default", Integer),
    Column("create_time_us", Long),
)

keys = _sealed(
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
    Column("destroy_time_us", Long, server_default=text("0")),
    Column("former", Integer, server_default=text("0")),
    Column("origin", LargeBinary, server_default=text("x''")),
)
# Two aliases that differ in case only cannot both exist (docs/protocol.md, key names).
Index("keys_alias", func.lower(keys.c.alias), unique=True)

drives = _sealed(
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

cartridges = _sealed(
    "cartridges",
    Column("id", Long, primary_key=True, autoincrement=False),  # see uses.py
    Column("volser", Text, index=True),
    Column("alias", Text, index=True),
    Column("drive_serial", Text),
    Column("drive_wwnn", LargeBinary),
    Column("write_time_us", Long),
)

approvals = _sealed(
    "approvals",
    Column("approval_id", Text, primary_key=True),
    Column("action", Text),
    Column("digest", LargeBinary),
    Column("summary", Text),
    Column("requester", Text),
    Column("create_time_us", Long),
    Column("expire_time_us", Long),
    Column("state", Integer),
    Column("decider", Text),
    Column("decide_time_us", Long),
)

backups = _sealed(
    "backups",
    Column("name", Text, primary_key=True),
    Column("create_time_us", Long),
    Column("epoch", Long),
    Column("sequence", Long),
    Column("created_seq", Long),
    Column("key_count", Long),
    Column("size", Long),
    Column("sha256", LargeBinary),
    Column("target", Text),
    Column("independent", Integer),
    Column("state", Integer),
    Column("verify_time_us", Long),
    Column("drill_time_us", Long),
    Column("message", Text),
)

partners = _sealed(
    "partners",
    Column("name", Text, primary_key=True),
    Column("certificate", LargeBinary),
    Column("fingerprint", LargeBinary, unique=True),
    Column("signer", LargeBinary),
    Column("expire_time_us", Long),
    Column("create_time_us", Long),
)

accounts = _sealed(
    "accounts",
    Column("actor", Text, primary_key=True),
    Column("verifier", LargeBinary),
    Column("create_time_us", Long),
    Column("password_time_us", Long),
    Column("wrong", Long),
    Column("locked_until_us", Long),
)

peers = _sealed(
    "peers",
    Column("name", Text, primary_key=True),
    Column("address", Text),
    Column("instance", LargeBinary),
    Column("epoch", Long),
    Column("state", Integer),
    Column("spki_sha256", LargeBinary),
    Column("create_time_us", Long),
    Column("join_time_us", Long),
)

cursors = _sealed(
    "cursors",
    Column("peer", Text, primary_key=True),
    Column("instance", LargeBinary),
    Column("received", Long),
    Column("compare_time_us", Long),
)

checkpoints = _sealed(
    "checkpoints",
    Column("instance", LargeBinary, primary_key=True),
    Column("epoch", Long),
    Column("commit", Long),
    Column("root", LargeBinary),
    Column("sequence", Long),
    Column("hash", LargeBinary),
    Column("signature", LargeBinary),
    Column("public_key", LargeBinary),
    Column("time_us", Long),
)

shared_properties = _sealed(
    "shared_properties", Column("name", Text, primary_key=True), Column("value", Text)
)

# Which shared rows were changed after which: a row's entry moves to the end with each change (journal.py).
journal = _sealed(
    "journal",
    Column("place", LargeBinary, primary_key=True),  # table and primary key (shared.py)
    Column("sequence", Long),
    Column("stamp_us", Long),
    Column("origin", LargeBinary),
    Column("removed", Integer),
)
Index("journal_sequence", journal.c.sequence)

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
