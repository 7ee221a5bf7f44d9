"""Everything that can be read of a backup and of an export; and what a careless build reads."""

from __future__ import annotations

import shutil
from contextlib import closing
from functools import partial
from pathlib import Path

from qekm.backup.codec import Reader
from qekm.backup.members import AUDIT_KEY, CONFIG, STORE
from qekm.backup.opening import opener
from qekm.backup.proving import prove
from qekm.errors import QekmError
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from tests.faults.reading import Refused, Told, read
from tests.qekm.backup.test_codec import Careless
from tests.qekm.interchange.cms.parties import seal
from tests.qekm.interchange.cms.test_damage import Open, unseal, without_tag_and_signature
from tests.qekm.interchange.organisation import told

BACKUP, EXPORT = "backup.qbk", "export.cms"
Keys = list[tuple[str, bytes, str, int]]


def make_export(folder: Path) -> None:
    """Write an export, for the recipient that this process and those forked beside it have."""
    (folder / EXPORT).write_bytes(seal())


def look_into(folder: Path, _expected: Told | None = None, reader: type[Reader] = Reader) -> Told:
    """Return what a restore of a backup would have: its settings, its audit key, all of its store."""
    sealer, members = KeyFileSealer(folder / "root.key"), folder / "members"
    shutil.rmtree(members, ignore_errors=True)
    members.mkdir()
    try:
        prove(folder / BACKUP, opener(sealer), members, lambda *_: None, reader)
        with closing(Store.open(members / STORE, unlock(sealer))) as store:
            return read(store) | {name: (members / name).read_bytes() for name in (CONFIG, AUDIT_KEY)}
    except QekmError as error:
        raise Refused("when it is proved") from error


def look_into_export(folder: Path, _expected: Keys | None = None, opened: Open = unseal) -> Keys:
    """Return the keys of an export."""
    try:
        return told(opened((folder / EXPORT).read_bytes()).keys)
    except QekmError as error:
        raise Refused("when it is opened") from error


look_carelessly = partial(look_into, reader=Careless)
look_into_export_carelessly = partial(look_into_export, opened=without_tag_and_signature)
