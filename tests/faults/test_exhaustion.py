"""What drives are told when the service is gone (EE0F) or the keys are (EE34), and that both pass.

Real processes and the simulator's library, which retries and fails over as the protocol says.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from qekm.clock import now_us
from qekm.dkp.codes import Ask, Code
from qekm.model import Key, KeyState, OnExhaustion
from qekm.store import Store
from qekm.v1 import groups_pb2, keystore_pb2
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.errand import Errand, Outcome, Refused
from qekm_gateway.simulator.link import Connection, Patience, Server, converse, ping
from tests.faults.site import Site, working
from tests.faults.worker import PATIENCE_S

NEXT_SERVER, NO_KEY = 0x7462, 0x7463  # twins: ask another key manager; it has no such key
AT_ONCE_S = 1.0  # well below a step's deadline of 1.5 s
DRIVES_WAIT_S = 2.0
TRIES = 3
PATIENT = Patience(answer=20.0)  # of who measures how long an answer takes, or only wants it
POOL = 8


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Have a key manager of POOL keys that makes no more by itself."""
    with working(tmp_path, keys=POOL) as site:
        with site.estate.client() as client:
            group = groups_pb2.Group(name="default", on_exhaustion=int(OnExhaustion.REFUSE))  # type: ignore[arg-type]
            client.groups.UpdateGroup(
                groups_pb2.UpdateGroupRequest(group=group, update_mask=FieldMask(paths=["on_exhaustion"]))
            )
        yield site


def mount(number: int) -> Errand:
    """Return what a drive wants for a blank cartridge."""
    return Errand(Ask.CREATE, f"E{number:05d}L4", os.urandom(16))


def served(site: Site, errand: Errand) -> Outcome:
    """Have the first drive's library get a key, and again while the gateway is on its way to the service."""
    drive, deadline = site.drives[0], time.monotonic() + PATIENCE_S
    library = site.library(drive)
    while True:
        drive.clear()
        try:
            outcome = library.request(drive.serial, errand)
            if outcome.confirmed:
                return outcome
        except Refused as problem:
            if problem.number != Code.EE0F:
                raise
        assert time.monotonic() < deadline, library.tickets


def refused(site: Site, errand: Errand) -> tuple[Refused, float]:
    """Play a session that must be refused; return what the drive was told and after how many seconds."""
    drive = site.drives[0]
    drive.clear()
    session = Session(drive, errand, site.anchors, os.urandom, now_us)
    begun = time.monotonic()
    with pytest.raises(Refused) as caught, Connection(Server("127.0.0.1", site.port), (), PATIENT) as line:
        converse(line, session)
    assert drive.key is None
    return caught.value, time.monotonic() - begun


@contextmanager
def hanging(site: Site) -> Iterator[None]:
    """Have the service hang for the block, and wait until it goes on."""
    assert site.estate.server is not None
    pid = site.estate.server.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
    site.estate.wait_gateway()


def stored(site: Site) -> dict[str, Key]:
    """Return the keys of a key manager that was stopped, by volser; each was given to one cartridge only."""
    with Store.looked_at(site.estate.home.store) as store:
        used = [key for key in store.load().keys if key.volser]
    assert len({key.volser for key in used}) == len(used)
    return {key.volser: key for key in used}


def test_without_a_service_a_drive_is_told_ee0f_at_once_until_there_is_one_again(site: Site) -> None:
    times = list[float]()
    for number in range(TRIES):  # a machine may be busy once; who does not notice the end, never does
        served(site, mount(number))
        assert site.estate.server is not None
        assert site.estate.server.stop() == 0
        problem, seconds = refused(site, mount(TRIES))
        assert (problem.number, problem.code) == (Code.EE0F, NEXT_SERVER)
        assert problem.detail == "refused by the key manager: EE0F", "no details"
        with Connection(Server("127.0.0.1", site.port), (), PATIENT) as connection:
            ping(connection)  # the gateway itself is there
        site.estate.start().wait_gateway()
        times.append(seconds)
        if seconds < AT_ONCE_S:
            break
    else:
        pytest.fail(f"the first drive without a service was told after {times} s")
    served(site, mount(TRIES))


def test_a_service_that_hangs_is_ee0f_in_time_for_another_server_and_serves_when_it_goes_on(
    site: Site,
) -> None:
    served(site, mount(1))
    errand, tries = mount(2), list[list[float]]()
    for _ in range(TRIES):
        tries.append([])
        with hanging(site):
            for pause_s in (0, 0, 0, 4):  # s; after that the gateway has given the stream up
                time.sleep(pause_s)
                problem, seconds = refused(site, errand)
                assert (problem.number, problem.code) == (Code.EE0F, NEXT_SERVER)
                tries[-1].append(seconds)
        served(site, errand)
        # The first ones wait for the step's deadline, later ones for nothing.
        if max(tries[-1]) < DRIVES_WAIT_S and tries[-1][-1] < AT_ONCE_S:
            break
    else:
        pytest.fail(f"drives wait {DRIVES_WAIT_S} s, and for a stream that is given up not at all: {tries}")
    served(site, mount(3))
    site.estate.stop()
    assert set(stored(site)) == {"E00001L4", "E00002L4", "E00003L4"}


def test_a_key_that_was_on_its_way_when_the_service_hung_is_given_to_the_same_mount(site: Site) -> None:
    """The service hangs between QUERY_DSK and SET_KEY: the answer comes too late, its key is not lost."""
    drive, errand = site.drives[0], mount(1)
    session = Session(drive, errand, site.anchors, os.urandom, now_us)
    with Connection(Server("127.0.0.1", site.port), (), PATIENT) as connection:
        frame = session.receive(connection.ask(session.begin()))
        assert frame is not None
        with hanging(site), pytest.raises(Refused) as caught:
            session.receive(connection.ask(frame))
    assert caught.value.number == Code.EE0F
    outcome = served(site, errand)
    assert outcome.key is not None
    site.estate.stop()
    (key,) = stored(site).values()
    assert (key.alias, key.state) == (outcome.key.alias, KeyState.ACTIVE)


def test_an_empty_pool_is_ee34_for_writing_and_nothing_for_reading_until_there_are_keys_again(
    site: Site,
) -> None:
    written = [served(site, mount(number)).key for number in range(POOL)]
    problem, _ = refused(site, mount(100))
    assert (problem.number, problem.code) == (Code.EE34, NO_KEY)
    for key in written:
        assert key is not None
        reading = Errand(Ask.ACQUIRE, "E00000L4", os.urandom(16), dki=key.dki)
        again = served(site, reading)
        assert again.key is not None
        assert again.key.material == key.material
    problem, _ = refused(site, mount(100))
    assert problem.number == Code.EE34, "reading gives no key back"
    library = site.library(site.drives[0])
    with pytest.raises(Refused):
        library.request(site.drives[0].serial, mount(100))
    assert len(library.tickets) == 1, "a key manager without keys is not asked again"
    with site.estate.client() as client:
        site.estate.unlock(client)
        list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=2)))
    fresh = served(site, mount(100))
    assert fresh.key is not None
    assert fresh.key.alias not in {key.alias for key in written if key is not None}
