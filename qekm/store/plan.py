"""What one transaction writes, decided without a database: units of changes in, statements with rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ClauseElement, Delete, Dialect, Table, bindparam, delete

from qekm.model import AuditRecord, Cartridge, Change, Entry, Removal, Setting
from qekm.store import tables
from qekm.store.chain import Head, Sign, head_message, link
from qekm.store.engine import upsert
from qekm.store.ledger import Draft, Ledger
from qekm.store.rows import REMOVABLE, SHAPES, Row, link_row

INSTANCE = "server.instance"  # a setting: hex of 8 bytes, drawn anew with each epoch
JOURNAL = "journal"  # a setting: FILLING, then FULL, once there may be a peer
FILLING, FULL = "filling", "full"

Unit = Sequence[Change]
Step = tuple[str, list[Row]]  # an SQL text with positional parameters, and the rows for its executemany

_SHAPES = {noun: (shape, str(shape.table.name), shape.version_at) for noun, shape in SHAPES.items()}


class UnplannableError(Exception):
    """A unit holds a value that no row can take; the cause is chained."""


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL text per noun, compiled once: compiling at every commit would cost more than the commit."""

    write: Mapping[type, str]
    remove: Mapping[type, str]
    chain: str  # inserts audit records; the only statement that ever names their table for writing
    journal: str
    root: str

    @classmethod
    def compile(cls, dialect: Dialect) -> Statements:
        """Return all statements for a dialect with positional parameters (qmark or format)."""
        kind = dialect.name, dialect.paramstyle
        if kind not in _COMPILED:
            _COMPILED[kind] = cls._anew(dialect)
        return _COMPILED[kind]

    @classmethod
    def _anew(cls, dialect: Dialect) -> Statements:
        def text(statement: ClauseElement) -> str:
            return str(statement.compile(dialect=dialect))

        root = tuple(column.name for column in tables.roots.columns if not column.primary_key)
        return cls(
            {
                noun: text(upsert(dialect.name, shape.table, shape.mutable, shape.version))
                for noun, shape in SHAPES.items()
            },
            {noun: text(_removal(SHAPES[noun].table)) for noun in REMOVABLE},
            text(upsert(dialect.name, tables.audit, None)),
            text(upsert(dialect.name, tables.journal, ("sequence", "stamp_us", "origin", "removed", "mac"))),
            text(upsert(dialect.name, tables.roots, root)),
        )


_COMPILED: dict[tuple[str, str], Statements] = {}  # by name and style of parameters


def _removal(table: Table) -> Delete:
    return delete(table).where(table.primary_key.columns[0] == bindparam("key"))


def plan(
    units: Sequence[Unit],
    ledger: Ledger,
    sign: Sign | None,
    statements: Statements,
    anchored: bool = False,
) -> tuple[list[Step], Draft]:
    """Return the statements of one transaction in order, and what the ledger takes once it is committed.

    Rows of one kind go together, parents before children; only a removal is a barrier, so that a row may
    go and come back in one transaction. The last audit record carries the commit's signature; the store root
    is written last. anchored: an anchor file tells of this commit. Raises UnplannableError.
    """
    draft, head = Draft(ledger), ledger.root.head
    steps: list[Step] = []
    pending: dict[type, list[Row]] = {noun: [] for noun in SHAPES}
    trail: list[Row] = []
    journal: list[Row] = []
    sequence, hash_ = head.sequence, head.hash
    try:
        for unit in units:
            for change in unit:
                if isinstance(change, AuditRecord):
                    sequence += 1
                    hash_ = link(hash_, sequence, change)
                    trail.append(link_row(sequence, change, hash_))
                elif isinstance(change, Entry):
                    line = draft.note(change)
                    if line is not None:
                        journal.append(line)
                elif isinstance(change, Removal):
                    steps += _flush(pending, statements)
                    _add(steps, statements.remove[change.kind], (change.name,))
                    draft.remove(SHAPES[change.kind].table.name, change.name)
                else:
                    _write(draft, pending[type(change)], change)
    except Exception as error:
        raise UnplannableError("a change cannot be stored") from error
    steps += _flush(pending, statements)
    journal += draft.overdue()
    if journal:
        steps.append((statements.journal, journal))
    if trail:
        signature = sign(head_message(sequence, hash_)) if sign else None
        trail[-1] = (*trail[-1][:-1], signature)
        steps.append((statements.chain, trail))
    mac = draft.close(Head(sequence, hash_), anchored)
    root = draft.root
    steps.append((statements.root, [(1, root.epoch, root.sequence, root.rows, int(root.anchored), mac)]))
    return steps, draft


def _write(draft: Draft, rows: list[Row], change: Change) -> None:
    """Add the row of a change with its MAC, unless a newer version of the row was written already."""
    shape, table, version_at = _SHAPES[type(change)]
    row = shape.to_row(change)
    if isinstance(change, Cartridge):
        counted = draft.count(change, row)
        if counted is not None:
            rows.append(counted)
        return
    if isinstance(change, Setting) and change.name == INSTANCE:
        draft.instance = bytes.fromhex(change.value)
    elif isinstance(change, Setting) and change.name == JOURNAL:
        draft.filling = change.value == FILLING
    mac = draft.write(table, row, row[version_at] if shape.version else 0)
    if mac is not None:
        rows.append((*row, mac))


def _add(steps: list[Step], text: str, row: Row) -> None:
    """Add a row to the last step if its statement is the same: a step for each takes three times as long."""
    if steps and steps[-1][0] == text:
        steps[-1][1].append(row)
    else:
        steps.append((text, [row]))


def _flush(pending: dict[type, list[Row]], statements: Statements) -> list[Step]:
    """Take all pending rows as steps, in the order of SHAPES."""
    steps = [(statements.write[noun], rows) for noun, rows in pending.items() if rows]
    for noun in pending:
        pending[noun] = []
    return steps
