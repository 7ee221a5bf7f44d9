"""What one transaction writes, decided without a database: units of changes in, statements with rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ClauseElement, Delete, Dialect, Table, bindparam, delete

from qekm.model import AuditRecord, Change, Removal
from qekm.store import tables
from qekm.store.chain import Head, Sign, head_message, link
from qekm.store.engine import upsert
from qekm.store.rows import REMOVABLE, SHAPES, Row, link_row

Unit = Sequence[Change]
Step = tuple[str, list[Row]]  # an SQL text with positional parameters, and the rows for its executemany


class UnplannableError(Exception):
    """A unit holds a value that no row can take; the cause is chained."""


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL text per noun, compiled once: compiling at every commit would cost more than the commit."""

    write: Mapping[type, str]
    remove: Mapping[type, str]
    chain: str  # inserts audit records; the only statement that ever names their table for writing

    @classmethod
    def compile(cls, dialect: Dialect) -> Statements:
        """Compile all statements for a dialect with positional parameters (qmark or format)."""

        def text(statement: ClauseElement) -> str:
            return str(statement.compile(dialect=dialect))

        return cls(
            {
                noun: text(upsert(dialect.name, shape.table, shape.mutable, shape.version))
                for noun, shape in SHAPES.items()
            },
            {noun: text(_removal(SHAPES[noun].table)) for noun in REMOVABLE},
            text(upsert(dialect.name, tables.audit, None)),
        )


def _removal(table: Table) -> Delete:
    return delete(table).where(table.primary_key.columns[0] == bindparam("key"))


def plan(
    units: Sequence[Unit], head: Head, sign: Sign | None, statements: Statements
) -> tuple[list[Step], Head]:
    """Return the statements of one transaction in order, and the head of the trail after it.

    Rows of one kind go together, parents before children; only a removal is a barrier, so that a row may
    go and come back in one transaction. The last audit record carries the commit's signature. Raises
    UnplannableError.
    """
    steps: list[Step] = []
    pending: dict[type, list[Row]] = {noun: [] for noun in SHAPES}
    trail: list[Row] = []
    sequence, hash_ = head.sequence, head.hash
    try:
        for unit in units:
            for change in unit:
                if isinstance(change, AuditRecord):
                    sequence += 1
                    hash_ = link(hash_, sequence, change)
                    trail.append(link_row(sequence, change, hash_))
                elif isinstance(change, Removal):
                    steps += _flush(pending, statements)
                    steps.append((statements.remove[change.kind], [(change.name,)]))
                else:
                    kind = type(change)
                    pending[kind].append(SHAPES[kind].to_row(change))
    except Exception as error:
        raise UnplannableError("a change cannot be stored") from error
    steps += _flush(pending, statements)
    if trail:
        signature = sign(head_message(sequence, hash_)) if sign else None
        trail[-1] = (*trail[-1][:-1], signature)
        steps.append((statements.chain, trail))
    return steps, Head(sequence, hash_)


def _flush(pending: dict[type, list[Row]], statements: Statements) -> list[Step]:
    """Take all pending rows as steps, in the order of SHAPES."""
    steps = [(statements.write[noun], rows) for noun, rows in pending.items() if rows]
    for noun in pending:
        pending[noun] = []
    return steps
