"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# 64 bits everywhere: SQLite's STRICT tables know INTEGER only, PostgreSQL's INTEGER has 32 bits.
_Long = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _table(name: str, *items: sa.schema.SchemaItem) -> None:
    op.create_table(name, *items, sqlite_strict=True)


def _required(name: str, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, *more, nullable=False, **options)


def upgrade() -> None:
    """Make all tables."""
    _table("estate", _required("estate_id", sa.LargeBinary, primary_key=True))
    _table("slots", _required("name", sa.Text, primary_key=True), _required("sealed", sa.LargeBinary))
    _table("settings", _required("name", sa.Text, primary_key=True), _required("value", sa.Text))
    _table(
        "vaults",
        _required("name", sa.Text, primary_key=True),
        _required("sealed", sa.LargeBinary),
        _required("certificate", sa.LargeBinary),
    )
    _table(
        "authorities",
        _required("fingerprint", sa.LargeBinary, primary_key=True),
        _required("certificate", sa.LargeBinary),
        _required("subject", sa.Text),
        _required("expire_time_us", _Long),
        _required("create_time_us", _Long),
    )
    _table(
        "certificates",
        _required("serial", sa.Text, primary_key=True),
        _required("role", sa.Integer),
        _required("name", sa.Text),
        _required("start_time_us", _Long),
        _required("expire_time_us", _Long),
        _required("authority", sa.LargeBinary),
        _required("revoke_time_us", _Long),
        _required("hosts", sa.Text),
    )
    _table(
        "blocked_keys",
        _required("spki_sha256", sa.LargeBinary, primary_key=True),
        _required("create_time_us", _Long),
    )
    _table(
        "groups",
        _required("name", sa.Text, primary_key=True),
        _required("on_exhaustion", sa.Integer),
        _required("is_default", sa.Integer),
        _required("create_time_us", _Long),
    )
    _table(
        "keys",
        _required("key_id", sa.LargeBinary, primary_key=True),
        _required("alias", sa.Text),
        _required("dki", sa.LargeBinary, unique=True),
        _required("created_seq", _Long),
        _required("create_time_us", _Long),
        _required("epoch", _Long),
        _required("sealed", sa.LargeBinary),
        _required("check_value", sa.LargeBinary),
        _required("group", sa.Text, sa.ForeignKey("groups.name")),
        _required("state", sa.Integer),
        _required("version", _Long),
        _required("assign_time_us", _Long),
        _required("drive_serial", sa.Text),
        _required("volser", sa.Text),
        _required("mount_id", sa.LargeBinary),
    )
    op.create_index("keys_alias", "keys", [sa.func.lower(sa.column("alias"))], unique=True)
    _table(
        "drives",
        _required("serial", sa.Text, primary_key=True),
        _required("state", sa.Integer),
        _required("create_time_us", _Long),
        _required("wwnn", sa.LargeBinary),
        _required("vendor", sa.Text),
        _required("product", sa.Text),
        _required("firmware", sa.Text),
        _required("spki_sha256", sa.LargeBinary),
        _required("last_seen_time_us", _Long),
        _required("allowed_groups", sa.Text),
        _required("group", sa.Text),
        _required("alias", sa.Text),
        _required("confirm", sa.Integer),
        _required("label_mode", sa.Integer),
        _required("library_serial", sa.Text),
    )
    _table(
        "cartridges",
        _required("id", _Long, primary_key=True, autoincrement=True),
        _required("volser", sa.Text),
        _required("alias", sa.Text),
        _required("drive_serial", sa.Text),
        _required("drive_wwnn", sa.LargeBinary),
        _required("write_time_us", _Long),
    )
    _table(
        "audit",
        _required("sequence", _Long, primary_key=True, autoincrement=False),
        _required("time_us", _Long),
        _required("event", sa.Text),
        _required("outcome", sa.Integer),
        _required("actor", sa.Text),
        _required("drive_serial", sa.Text),
        _required("drive_wwnn", sa.LargeBinary),
        _required("volser", sa.Text),
        _required("alias", sa.Text),
        _required("code", sa.Text),
        _required("message", sa.Text),
        _required("count", _Long),
        _required("hash", sa.LargeBinary),
        sa.Column("signature", sa.LargeBinary, nullable=True),
    )
    op.create_index("ix_cartridges_volser", "cartridges", ["volser"])
    op.create_index("ix_cartridges_alias", "cartridges", ["alias"])
