"""Command passwords: an account for each person who has one."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_Long = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _required(name: str, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, *more, nullable=False, **options)


def upgrade() -> None:
    """Add the table; nobody has a password yet."""
    op.create_table(
        "accounts",
        _required("actor", sa.Text, primary_key=True),
        _required("verifier", sa.LargeBinary),
        _required("create_time_us", _Long),
        _required("password_time_us", _Long),
        _required("wrong", _Long),
        _required("locked_until_us", _Long),
        _required("mac", sa.LargeBinary, server_default=sa.text("x''")),
        sqlite_strict=True,
    )
