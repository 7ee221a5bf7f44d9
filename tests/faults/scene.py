"""A whole service in one process: real store, real mTLS, two drives behind a gateway's stream, one act.

Processes are forked from one that has everything imported and made (cast.py), so that one costs a third of a
second. It plays until it is killed or until its rounds are over; a write that fails ends it as it ends the
service.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.serialization import Encoding

from qekm import service as program
from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.errors import QekmError, StoreFailed
from qekm.v1 import drives_pb2, keystore_pb2, slots_pb2
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Refused
from tests.faults import cast
from tests.faults.sabotage import arm, sabotage
from tests.faults.sizes import PROCESSES
from tests.faults.told import REACHED, Notes
from tests.qekm.api.drives_at_work import Asking, play
from tests.qekm.api.running import Gateway, Running, running
from tests.system.forking import CONTEXT, PRELOAD

REFUSED, FAILED, BROKEN = 4, 3, 5  # exit codes: the act was refused; a write failed; what nobody foresaw
MOUNTS = 10_000  # of one scene: their numbers are in the volsers


@dataclass
class Scene:
    """What an act works with. `number`: of this scene among all of a home, so that no volser comes twice."""

    run: Running
    gateway: Gateway
    notes: Notes
    number: int
    mounts: int = 0

    @property
    def proof(self) -> slots_pb2.Proof:
        """Return what opens the keystore."""
        return slots_pb2.Proof(key_file=self.run.home.root_key.read_bytes())

    async def set_up(self) -> None:
        """Have the drives trusted, and the keystore open for the administrator."""
        der = cast.AUTHORITY.certificate.public_bytes(Encoding.DER)
        if not self.run.store.load().authorities:
            await self.run.client.drives.CreateAuthority(drives_pb2.CreateAuthorityRequest(certificate=der))
        await self.run.client.keystore.UnlockKeystore(keystore_pb2.UnlockKeystoreRequest(proof=self.proof))
        for drive in cast.DRIVES:
            drive.record = self.notes.recorder()

    def volser(self) -> str:
        """Return one that was never used."""
        self.mounts += 1
        return f"{_base36(self.number * MOUNTS + self.mounts):0>6}L4"

    def asking(self, drive: Drive, errand: Errand) -> Asking:
        """Begin a session of a drive."""
        anchors = Anchors((self.run.service.owners.estate.anchor,))
        return Asking(Session(drive, errand, anchors, os.urandom, now_us))

    async def mount(self, *, steps: int = 9) -> list[tuple[Drive, Errand, Asking]]:
        """Have both drives ask for a key at the same time; fewer steps leave their sessions in the middle."""
        begun = []
        for drive in cast.DRIVES:
            errand = Errand(Ask.CREATE, self.volser(), os.urandom(16), "LIB1")
            begun.append((drive, errand, self.asking(drive, errand)))
        await self.play(*(asking for _, _, asking in begun), steps=steps)
        return begun

    async def play(self, *askings: Asking, steps: int = 9) -> None:
        """Carry sessions side by side; Ended, Refused."""
        try:
            await play(self.gateway, *askings, steps=steps)
        except (AssertionError, asyncio.InvalidStateError):
            if self.gateway.stream.done():
                raise Ended from None
            raise


class Ended(Exception):
    """The service has ended the gateway's stream."""


Act = Callable[[Scene], Awaitable[None]]
CONTEXT.set_forkserver_preload(
    [*PRELOAD, "tests.faults.acts", "tests.faults.offline", "tests.faults.unpacking"]
)


class Here(Executor):
    """Does at once what it is given, in this process: one more would import everything once more."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Do it."""
        done = Future[Any]()
        try:
            done.set_result(function(*arguments, **named))
        except Exception as error:
            done.set_exception(error)
        return done


def pool() -> Executor:
    """Return what plays many scenes, beside each other where there is room for that."""
    return ProcessPoolExecutor(PROCESSES, CONTEXT) if PROCESSES > 1 else Here()


def start(function: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Run a function in a process of its own, forked from the one that has everything imported."""
    process = CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def perform(
    act: Act, home: Path, notes: Path, number: int, rounds: int = 0, build: str = "", failure: str = ""
) -> None:
    """Play an act in this process, `rounds` times or for ever, and end it with an exit code.

    build: how it is broken on purpose; failure: what fails in it, as QEKM_FAILPOINT has it.
    """
    told = begin(notes, build, failure)
    try:
        asyncio.run(_perform(act, home, told, number, rounds))
    except (QekmError, OSError, grpc.RpcError, Refused, Ended, TimeoutError) as error:
        print(f"refused: {error!r}")
        _end(FAILED if isinstance(error, StoreFailed) else REFUSED)
    except BaseException:
        traceback.print_exc()
        _end(BROKEN)
    _end(0)


def begin(notes: Path, build: str, failure: str) -> Notes:
    """Have this process write into files beside its notes, and be what a test wants it to be."""
    told = Notes(notes)
    sabotage(build)
    if failure:
        arm(failure, lambda name: told.put(REACHED, name))
    sys.stdout = sys.stderr = notes.with_suffix(".out").open("a", buffering=1)
    return told


async def _perform(act: Act, path: Path, notes: Notes, number: int, rounds: int) -> None:
    kind = program.Store  # type: ignore[attr-defined]  # a broken build has its own
    async with running(path, store_type=kind) as run, run.gateway() as gateway:
        scene = Scene(run, gateway, notes, number)
        playing = asyncio.ensure_future(_play(scene, act, rounds))
        ended = asyncio.ensure_future(run.service.wait())  # StoreFailed: the service ends at once
        await asyncio.wait([playing, ended], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            print(f"the service ends: {ended.exception()!r}")
            _end(FAILED)
        await playing


async def _play(scene: Scene, act: Act, rounds: int) -> None:
    await scene.set_up()
    while True:
        await act(scene)
        rounds -= 1
        if rounds == 0:
            return


def _end(code: int) -> None:
    """End without closing anything, as the service does after a failed write."""
    sys.stdout.flush()
    os._exit(code)


def _base36(number: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    text = ""
    while number:
        number, place = divmod(number, 36)
        text = digits[place] + text
    return text
