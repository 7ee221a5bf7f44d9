"""The schema's history: it ends in the tables, and no step of it can lose a store."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table

from qekm import model
from qekm.errors import StoreDamaged, StoreNewer
from qekm.store import Link, Store, engine, schema, tables
from tests.qekm.store.material import SIGNER, create, make_key, make_record, next_schema, unlock, verify

ROOT = Path(__file__).parents[3]


def _digests(directory: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in directory.iterdir()}


# The index over lower(alias) cannot be compared; test_store.py tries it.
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sqlalchemy.exc.SAWarning")
def test_the_migrations_end_in_the_tables(path: Path) -> None:
    opened = engine.open_file(path)
    with opened.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    opened.dispose()
    assert [item for item in differences if "alembic_version" not in str(item)] == []


def test_the_revisions_are_those_on_disk() -> None:
    (directory,) = schema.PRESENT.directories
    files = sorted(file.name for file in directory.glob("r*.py"))
    assert [name[1:5] for name in files] == list(schema.PRESENT.revisions)


@pytest.mark.parametrize(
    ("noun", "table", "more"),
    [
        (model.Key, tables.keys, []),
        (model.Group, tables.groups, []),
        (model.Drive, tables.drives, []),
        (model.Authority, tables.authorities, []),
        (model.Certificate, tables.certificates, []),
        (model.BlockedKey, tables.blocked_keys, []),
        (model.Vault, tables.vaults, []),
        (model.Setting, tables.settings, []),
        (model.Slot, tables.slots, []),
        (model.Approval, tables.approvals, []),
        (model.Backup, tables.backups, []),
        (model.Partner, tables.partners, []),
        (model.Account, tables.accounts, []),
        (model.Peer, tables.peers, []),
        (model.Cursor, tables.cursors, []),
        (model.Checkpoint, tables.checkpoints, []),
        (model.SharedProperty, tables.shared_properties, []),
        (model.AuditRecord, tables.audit, ["sequence", "hash", "signature"]),
    ],
)
def test_a_tables_columns_are_its_nouns_fields_in_order(noun: type, table: Table, more: list[str]) -> None:
    columns = [column.name for column in table.columns if column.name not in [*more, "mac"]]
    assert columns == [field.name for field in dataclasses.fields(noun)]


def test_a_newer_store_is_refused_and_not_a_byte_of_it_touched(path: Path, tmp_path: Path) -> None:
    Store.open(path, unlock, present=next_schema(tmp_path / "next")).close()
    before = _digests(path.parent)
    with pytest.raises(StoreNewer):
        Store.open(path, unlock)
    assert _digests(path.parent) == before


def test_an_older_store_is_migrated_on_a_copy_and_kept(tmp_path: Path) -> None:
    path = create(tmp_path, make_key(1), make_record("old"))
    old = path.read_bytes()
    store = Store.open(path, unlock, present=next_schema(tmp_path / "next"))
    assert verify(list(store.iterate_audit())) == 1
    store.close()
    kept = path.with_name(f"qekm.db.{schema.PRESENT.revisions[-1]}")
    assert kept.read_bytes() == old
    assert path.read_bytes() != old
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    kept.rename(path)
    again = Store.open(path, unlock)
    assert again.load().keys == [make_key(1)]
    again.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        Store.open(path, unlock, present=next_schema(tmp_path / "next", "1 / 0"))
    assert path.read_bytes() == before
    Store.open(path, unlock).close()
    assert [file.name for file in path.parent.iterdir() if ".new" not in file.name] != []


def test_a_process_that_dies_in_a_migration_leaves_the_store_as_it_was(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    fatal = next_schema(tmp_path / "fatal", "os._exit(9)")
    program = (
        "import sys, pathlib\nfrom qekm.store import Store, schema\n"
        "from tests.qekm.store.material import unlock\n"
        "names = list(map(pathlib.Path, sys.argv[1:]))\n"
        "known = schema.Schema((*schema.PRESENT.revisions, '9999'), tuple(names[1:]))\n"
        "Store.open(names[0], unlock, present=known)"
    )
    arguments = [str(path), *map(str, fatal.directories)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=False, cwd=ROOT)
    assert done.returncode == 9
    assert path.read_bytes() == before
    Store.open(path, unlock).close()
    Store.open(path, unlock, present=next_schema(tmp_path / "next")).close()
    assert list(path.parent.glob("*.new*")) == []


def test_a_use_has_its_number_first() -> None:
    columns = [column.name for column in tables.cartridges.columns if column.name != "mac"]
    assert columns == ["id", *(field.name for field in dataclasses.fields(model.Cartridge))][:-1]


async def test_a_page_torn_while_the_log_was_moved_is_mended_from_the_log(
    path: Path, store: Store, tmp_path: Path
) -> None:
    await store.commit([make_record("before"), *map(make_key, range(400))])
    other = tmp_path / "other" / path.name
    other.parent.mkdir()
    for file in path.parent.glob("qekm.db*"):
        shutil.copy(file, other.parent)
    with other.open("r+b") as torn:
        torn.seek(512)
        torn.write(bytes(4096 - 512))
    again = Store.open(other, unlock)
    assert len(again.load().keys) == 400
    again.start(SIGNER.sign, print)
    await again.commit([make_record("after")])
    links: list[Link] = list(again.iterate_audit())
    assert verify(links) == 2
    again.close()


def test_a_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "qekm.db"
    plain = sqlite3.connect(path)
    plain.execute("CREATE TABLE theirs (x)")
    plain.close()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged):
        Store.open(path, unlock)
    assert path.read_bytes() == before
