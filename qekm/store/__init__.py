"""What lasts: one SQLite file, one writer, group commit. SQL lives only here.

Store.create(path, estate_id, slots, changes)       once, by `init`
store = Store.open(path); store.load()              lock, pragmas, schema; all that lives in memory
store.start(sign_head, on_failure)                  the writer's thread
await store.commit(changes) / store.submit(units)   durable when it returns, or an error
store.close()
"""

from qekm.store.chain import GENESIS, Head, Link, Sign, canonical, head_message, link
from qekm.store.snapshot import Snapshot
from qekm.store.store import Store

__all__ = ["GENESIS", "Head", "Link", "Sign", "Snapshot", "Store", "canonical", "head_message", "link"]
