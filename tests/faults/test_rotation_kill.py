"""kill -9 in the middle of a rotation, again and again, while drives work: every key stays readable."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from qekm.errors import ServiceAway
from qekm.home import Home
from qekm.sealing import KeyFileSealer
from qekm.store import CURRENT, OLDEST, Store
from qekm.unlocking import unlock
from qekm.v1.keystore_pb2 import RotateKeystoreRequest
from qekm.v1.slots_pb2 import Proof
from tests.faults.report import Report
from tests.faults.site import Site, at_work, wait_for_exchanges, working
from tests.faults.verdict import judge
from tests.system.processes import Process
from tests.waiting import wait_for

KEYS = 700
BATCHES = (2, 1, 3, 1)  # at which a process dies, counted from its start
PATIENCE_S = 60.0


def materials(home: Home) -> dict[str, bytes]:
    """Return every key's material, as a start finds it on the disk of a stopped service."""
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        return {key.alias: store.ring.open_key(key).reveal() for key in store.load().keys}
    finally:
        store.close()


def rotate(site: Site) -> None:
    """Begin a rotation; it goes on when this has left, and may have killed its service before it told."""
    proof = Proof(key_file=site.estate.home.root_key.read_bytes())
    with site.estate.client() as client, suppress(ServiceAway):
        stream = client.keystore.RotateKeystore(RotateKeystoreRequest(proof=proof))
        next(iter(stream))
        stream.cancel()


def wait_for_the_end(site: Site) -> None:
    """Wait until the old version is forgotten, as the disk says: by then every key should be sealed anew."""
    wanted = f"SELECT 1 FROM settings WHERE name = '{OLDEST}' AND value = '2'"
    with closing(sqlite3.connect(f"{site.estate.home.store.as_uri()}?mode=ro", uri=True)) as look:
        wait_for(lambda: look.execute(wanted).fetchone(), "the rotation does not end")


def test_a_rotation_that_is_killed_at_several_batches_ends_and_loses_no_key(
    tmp_path: Path, report: Report
) -> None:
    with working(tmp_path, keys=KEYS) as site:
        estate = site.estate
        estate.kill()
        before = materials(estate.home)
        begun = False
        with at_work(site) as workers:
            for batch in BATCHES:
                failing = {"QEKM_FAILPOINT": f"rotate.batch=exit@{batch}"}
                if begun:  # it goes on a second after the start: nobody may have seen that one
                    estate.server = Process(estate.home, "server", environ=failing)
                else:
                    estate.start(**failing)
                    wait_for_exchanges(workers)
                    rotate(site)
                    begun = True
                assert estate.server is not None
                assert estate.server.wait(PATIENCE_S) == -9
                estate.server = None
            estate.start()
            wait_for_the_end(site)
            wait_for_exchanges(workers)
        estate.close()
        verdict = judge(estate.home, site.books)
        after = materials(estate.home)
    print(f"{len(BATCHES)} kills in a rotation of {KEYS:,} keys;", verdict)
    lost = [*verdict.flaws, *(alias for alias in before if after.get(alias) != before[alias])]
    report.tried("kill -9", "of a real service, between a rotation's batches", len(BATCHES), lost=len(lost))
    assert [worker.trouble for worker in workers] == [[], []]
    assert verdict.flaws == []
    assert {alias: after[alias] for alias in before} == before
    with Store.looked_at(estate.home.store) as store:
        settings = store.load().settings
        assert (settings[OLDEST], settings[CURRENT], store.record_versions()) == ("2", "2", {2})


def test_a_service_that_forgets_the_old_version_too_early_is_caught(tmp_path: Path, report: Report) -> None:
    with working(tmp_path, keys=64, build="hasty") as site:
        with at_work(site) as workers:
            wait_for_exchanges(workers, 2)
        rotate(site)
        wait_for_the_end(site)
        site.estate.close()
        verdict = judge(site.estate.home, site.books)
    report.control("kill -9", "rotation that forgets too early", caught=bool(verdict.unreadable))
    assert verdict.unreadable
