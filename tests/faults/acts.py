"""What a key manager is at when something happens to it: each act is played again and again."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from qekm.dkp.codes import Ask
from qekm.home import Home
from qekm.model import KeyState
from qekm.v1 import backups_pb2, keystore_pb2, sharing_pb2
from qekm_gateway.simulator.errand import Errand
from tests.faults.scene import Act, Scene
from tests.faults.told import BACKED, DOOMED, GONE, MADE, ROTATED, TAKEN
from tests.qekm.api.running import collect
from tests.system.processes import Estate

_LATER_US = 8 * 86_400 * 1_000_000  # a destruction waits seven days
# What a home is made with for the acts.
PROPERTIES = MappingProxyType(
    {
        "keystore__protect": "none",
        "twoPerson": "off",
        "backup__target": "../backups",
        "backup__sameDisk": "true",
        "drive__creationsPerHour": "1000000",
    }
)
PROTECTED = MappingProxyType({**PROPERTIES, "keystore__protect": "backup"})


async def allocate(scene: Scene) -> None:
    """Give two drives a key each, the same again to a retry, and to a reader."""
    for drive, errand, asking in await scene.mount():
        again = scene.asking(drive, errand)
        await scene.play(again)
        key = asking.outcome.key
        assert key is not None
        assert again.outcome.key == key
        reading = scene.asking(drive, Errand(Ask.ACQUIRE, errand.volser, os.urandom(16), dki=key.dki))
        await scene.play(reading)
        assert reading.outcome.key is not None
        assert reading.outcome.key.material == key.material
    await scene.mount(steps=2)  # these end with the process: the drive has the key, nobody was told


async def refill(scene: Scene) -> None:
    """Use up a pool until it is filled up."""
    await scene.mount()
    await scene.run.service.upkeep.tick()


async def generate(scene: Scene) -> None:
    """Make keys for an administrator."""
    before = {key.alias for key in scene.run.service.owners.keystore}
    await collect(scene.run.client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=20)))
    scene.notes.put(MADE, *sorted({key.alias for key in scene.run.service.owners.keystore} - before))


async def backup(scene: Scene) -> None:
    """Make keys, have them backed up, and give two of them out."""
    keys = scene.run.client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=4))
    made = (await collect(keys))[-1]
    scene.notes.put(MADE, made.first_alias, made.last_alias)
    answers = await collect(scene.run.client.backups.CreateBackup(backups_pb2.CreateBackupRequest()))
    scene.notes.put(BACKED, answers[-1].backup.name)
    await scene.mount()


async def destroy(scene: Scene) -> None:
    """Have the keys of two cartridges destroyed, and their time come."""
    mounted = [asking.outcome.key for _, _, asking in await scene.mount()]
    aliases = [key.alias for key in mounted if key is not None]
    scene.notes.put(DOOMED, *aliases)
    await scene.run.client.keystore.DestroyKeys(keystore_pb2.DestroyKeysRequest(aliases=aliases))
    scene.run.clock.ahead_us += _LATER_US
    keystore = scene.run.service.owners.keystore
    while any(keystore.by_alias(alias).state is not KeyState.DESTROYED for alias in aliases):
        await scene.run.service.upkeep.tick()
    scene.notes.put(GONE, *aliases)


async def rotate(scene: Scene) -> None:
    """Have every key sealed anew, while drives work."""
    stream = scene.run.client.keystore.RotateKeystore(keystore_pb2.RotateKeystoreRequest(proof=scene.proof))
    answers = asyncio.ensure_future(collect(stream))
    while not answers.done():
        await scene.mount()
        await scene.run.service.upkeep.tick()
    scene.notes.put(ROTATED, str(answers.result()[-1].version))


async def exchange(scene: Scene) -> None:
    """Give keys to another site, and take some of another one's in."""
    mounted = [asking.outcome.key for _, _, asking in await scene.mount()]
    given = {key.alias: key.material for key in mounted if key is not None}
    wanted = sharing_pb2.ExportKeysRequest(aliases=sorted(given))
    parts = await collect(scene.run.client.sharing.ExportKeys(wanted))
    assert {key.alias: key.material for part in parts for key in part.keys} == given
    foreign = {f"KEY00{os.urandom(8).hex().upper()}": os.urandom(32) for _ in range(3)}
    keys = [sharing_pb2.ClearKey(alias=alias, material=material) for alias, material in foreign.items()]
    offer = sharing_pb2.ImportKeysRequest(keys=keys, source="their file")
    answer = await scene.run.client.sharing.ImportKeys(iter([offer]))
    assert {key.outcome for key in answer.keys} == {sharing_pb2.IMPORT_OUTCOME_IMPORTED}
    for alias, material in foreign.items():
        scene.notes.put(TAKEN, alias, sha256(material).hexdigest())


async def prepare(scene: Scene) -> None:
    """Leave a home with two backups, and keys given out since.

    Beside it are its store as it was after the first backup, with the anchor of that time, and after both.
    """
    home = scene.run.home
    await backup(scene)
    await asyncio.to_thread(scene.run.store.copy_to, home.path.with_name("earliest.db"))
    home.path.with_name("earliest.anchor").write_bytes(home.anchor.read_bytes())
    await backup(scene)
    await asyncio.to_thread(scene.run.store.copy_to, home.path.with_name("earlier.db"))
    await scene.mount()


ACTS: Mapping[str, tuple[Act, Mapping[str, str]]] = MappingProxyType(
    {
        "allocate": (allocate, PROPERTIES),
        "refill": (refill, PROPERTIES),
        "generate": (generate, PROPERTIES),
        "backup": (backup, PROTECTED),
        "rotate": (rotate, PROPERTIES),
        "destroy": (destroy, PROPERTIES),
        "exchange": (exchange, PROPERTIES),
    }
)


def make_homes(template: Path) -> None:
    """Make what `lay` copies, beside a template: there are hundreds of attempts, and a home takes a while."""
    for properties in (PROPERTIES, PROTECTED):
        home = _made(template, properties)
        home.with_name("backups").mkdir(parents=True, exist_ok=True)
        Estate.make(home, keys=16, **properties)


def lay(name: str, folder: Path, template: Path) -> Home:
    """Have a new home for an act in a folder, and the place for its backups."""
    (folder / "backups").mkdir(parents=True, exist_ok=True)
    return Home(shutil.copytree(_made(template, ACTS[name][1]), folder / "home"))


def _made(template: Path, properties: Mapping[str, str]) -> Path:
    return template.with_name(template.name + "-made") / properties["keystore__protect"]
