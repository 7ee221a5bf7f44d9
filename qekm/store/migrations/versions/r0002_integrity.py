"""Every row has a MAC and the store a root; slots have kinds; approvals, backups and partners."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Long = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SEALED = (
    "settings",
    "slots",
    "vaults",
    "authorities",
    "certificates",
    "blocked_keys",
    "groups",
    "keys",
    "drives",
    "cartridges",
)


def _table(name: str, *items: sa.schema.SchemaItem) -> None:
    op.create_table(name, *items, sqlite_strict=True)


def _required(name: str, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, *more, nullable=False, **options)


def _mac() -> sa.Column[Any]:
    return _required("mac", sa.LargeBinary, server_default=sa.text("x''"))


def upgrade() -> None:
    """Add columns and tables; the MACs are filled in by whoever has the keys (qekm/store/integrity.py)."""
    op.add_column("slots", _required("kind", sa.Text, server_default=""))
    op.execute("UPDATE slots SET kind = name")
    op.add_column("slots", _required("create_time_us", _Long, server_default="0"))
    op.add_column("keys", _required("destroy_time_us", _Long, server_default="0"))
    op.add_column("keys", _required("former", sa.Integer, server_default="0"))
    for name in _SEALED:
        op.add_column(name, _mac())
    _table(
        "approvals",
        _required("approval_id", sa.Text, primary_key=True),
        _required("action", sa.Text),
        _required("digest", sa.LargeBinary),
        _required("summary", sa.Text),
        _required("requester", sa.Text),
        _required("create_time_us", _Long),
        _required("expire_time_us", _Long),
        _required("state", sa.Integer),
        _required("decider", sa.Text),
        _required("decide_time_us", _Long),
        _mac(),
    )
    _table(
        "backups",
        _required("name", sa.Text, primary_key=True),
        _required("create_time_us", _Long),
        _required("epoch", _Long),
        _required("sequence", _Long),
        _required("created_seq", _Long),
        _required("key_count", _Long),
        _required("size", _Long),
        _required("sha256", sa.LargeBinary),
        _required("target", sa.Text),
        _required("independent", sa.Integer),
        _required("state", sa.Integer),
        _required("verify_time_us", _Long),
        _required("drill_time_us", _Long),
        _required("message", sa.Text),
        _mac(),
    )
    _table(
        "partners",
        _required("name", sa.Text, primary_key=True),
        _required("certificate", sa.LargeBinary),
        _required("fingerprint", sa.LargeBinary, unique=True),
        _required("signer", sa.LargeBinary),
        _required("expire_time_us", _Long),
        _required("create_time_us", _Long),
        _mac(),
    )
    _table(
        "roots",
        _required("place", sa.Integer, primary_key=True, autoincrement=False),
        _required("epoch", _Long),
        _required("sequence", _Long),
        _required("row_count", _Long),
        _required("anchored", sa.Integer),
        _required("mac", sa.LargeBinary),
    )
