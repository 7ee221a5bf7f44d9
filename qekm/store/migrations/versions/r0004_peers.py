"""Several servers of one estate: whose each key is, the servers, the journal of what they have in common."""

import os
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_Long = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _required(name: str, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, *more, nullable=False, **options)


def _table(name: str, *items: sa.schema.SchemaItem) -> None:
    mac = _required("mac", sa.LargeBinary, server_default=sa.text("x''"))
    op.create_table(name, *items, mac, sqlite_strict=True)


def upgrade() -> None:
    """Add them; an estate that is there gets its instance, and what it made is that one's."""
    op.add_column("keys", _required("origin", sa.LargeBinary, server_default=sa.text("x''")))
    _table(
        "peers",
        _required("name", sa.Text, primary_key=True),
        _required("address", sa.Text),
        _required("instance", sa.LargeBinary),
        _required("epoch", _Long),
        _required("state", sa.Integer),
        _required("spki_sha256", sa.LargeBinary),
        _required("create_time_us", _Long),
        _required("join_time_us", _Long),
    )
    _table(
        "cursors",
        _required("peer", sa.Text, primary_key=True),
        _required("instance", sa.LargeBinary),
        _required("received", _Long),
        _required("compare_time_us", _Long),
    )
    _table(
        "checkpoints",
        _required("instance", sa.LargeBinary, primary_key=True),
        _required("epoch", _Long),
        _required("commit", _Long),
        _required("root", sa.LargeBinary),
        _required("sequence", _Long),
        _required("hash", sa.LargeBinary),
        _required("signature", sa.LargeBinary),
        _required("public_key", sa.LargeBinary),
        _required("time_us", _Long),
    )
    _table("shared_properties", _required("name", sa.Text, primary_key=True), _required("value", sa.Text))
    _table(
        "journal",
        _required("place", sa.LargeBinary, primary_key=True),
        _required("sequence", _Long),
        _required("stamp_us", _Long),
        _required("origin", sa.LargeBinary),
        _required("removed", sa.Integer),
    )
    op.create_index("journal_sequence", "journal", ["sequence"])
    _name_instance()


def _name_instance() -> None:
    """Draw an instance for a store that has keys; a new one is told its own by whoever makes it."""
    connection, instance = op.get_bind(), os.urandom(8)
    if connection.execute(sa.text("SELECT 1 FROM settings WHERE name = 'keystore.tag'")).first() is None:
        return
    connection.execute(sa.text("UPDATE keys SET origin = :instance"), {"instance": instance})
    connection.execute(
        sa.text("INSERT INTO settings (name, value) VALUES ('server.instance', :instance)"),
        {"instance": instance.hex()},
    )
