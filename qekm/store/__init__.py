"""What lasts: one SQLite file, one writer, group commit. SQL lives only here.

Store.create(path, estate_id, seals, changes)       once, by `init`
store = Store.open(path, unlock); store.load()      lock, schema, every row verified; all that lives in memory
store.start(sign_head, on_failure)                  the writer's thread
await store.commit(changes) / store.submit(units)   durable when it returns, or an error
store.close()
"""

from qekm.store.anchor import Witness
from qekm.store.chain import GENESIS, Head, Link, Sign, canonical, head_message, link
from qekm.store.journal import Line
from qekm.store.locked import CURRENT, MOST_VERSIONS, OLDEST, Locked
from qekm.store.picture import Picture, picture_of
from qekm.store.plan import FILLING, FULL, INSTANCE, JOURNAL
from qekm.store.shared import SHARED, TABLES, PrimaryKey
from qekm.store.snapshot import Snapshot
from qekm.store.stamps import Stamps
from qekm.store.store import Store, Unlock, Witnesses

__all__ = [
    "CURRENT",
    "FILLING",
    "FULL",
    "GENESIS",
    "INSTANCE",
    "JOURNAL",
    "MOST_VERSIONS",
    "OLDEST",
    "SHARED",
    "TABLES",
    "Head",
    "Line",
    "Link",
    "Locked",
    "Picture",
    "PrimaryKey",
    "Sign",
    "Snapshot",
    "Stamps",
    "Store",
    "Unlock",
    "Witness",
    "Witnesses",
    "canonical",
    "head_message",
    "link",
    "picture_of",
]
