"""A change of properties is in force and in the file, or nowhere; one at a time, and each to its end."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from qekm.configuration.differences import NAME, joined, recall, remembered
from qekm.configuration.owner import Configuration, Records
from qekm.configuration.parts import Applied, at_once
from qekm.configuration.settings import Settings
from qekm.errors import BadConfiguration, FileFailed, PortInUse, StoreFailed, UnknownProperty
from qekm.model import AuditRecord, Change, Setting
from tests.ordinary import unsynced

FIRST = "# mine\ngrpc.port=1\ndrive.creationsPerHour=5\nsync.type=all\nno.such=kept\n"
PORT, RATE, ACCEPT = "TransportListener.tcp.port", "drive.creationsPerHour", "drive.acceptUnknownDrives"


@dataclass
class Part:
    """A part of a service that writes down what happens to it."""

    name: str
    told: list[str]
    refuses: bool = False
    gate: asyncio.Event | None = None

    async def apply(self, coming: Settings) -> Applied:
        """Take new settings."""
        self.told.append(f"{self.name} apply {coming[RATE]}")
        if self.gate is not None:
            await self.gate.wait()
        if self.refuses:
            raise PortInUse("the port is taken")

        async def undo() -> None:
            self.told.append(f"{self.name} undo")
            raise OSError("an undo that fails keeps nobody from his")

        async def finish() -> None:
            self.told.append(f"{self.name} finish")
            raise OSError("nor a finish")

        def settle() -> Sequence[Change]:
            self.told.append(f"{self.name} settle")
            return [Setting(self.name, "settled")]

        return Applied(undo, settle, finish, (f"a note of {self.name}",))


@dataclass
class Site:
    """A configuration, what it committed, and what its parts were told."""

    path: Path
    environ: dict[str, str] = field(default_factory=dict)
    committed: list[Change] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    commit_fails: bool = False

    def __post_init__(self) -> None:
        """Write the file and read it."""
        self.path.write_text(FIRST)
        settings = Settings.load(self.path, self.environ)
        self.configuration = Configuration(self.path, settings, self.commit, self.environ)
        self.settings = self.configuration.settings

    async def commit(self, changes: Sequence[Change]) -> None:
        """Stand for the store."""
        self.told.append(f"commit at {self.settings[RATE]}")
        if self.commit_fails:
            raise StoreFailed("the disk is gone")
        self.committed += changes

    def part(self, name: str, *names: str, refuses: bool = False, gate: asyncio.Event | None = None) -> Part:
        """Add a part."""
        part = Part(name, self.told, refuses, gate)
        self.configuration.on_change(names or (RATE,), part.apply)
        return part


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a configuration in a file."""
    return Site(tmp_path / "KeyManagerConfig.properties")


async def test_the_order_is_parts_file_settle_commit_in_force_finish(site: Site) -> None:
    site.part("a")
    site.part("b", RATE, ACCEPT)
    site.part("c", ACCEPT)
    changed = await site.configuration.update({RATE: "6"})
    assert site.told == [
        *("a apply 6", "b apply 6"),
        *("a settle", "b settle", "commit at 6"),
        *("a finish", "b finish"),
    ]
    assert site.committed[:2] == [Setting("a", "settled"), Setting("b", "settled")]
    assert changed.notes == ("a note of a", "a note of b")
    assert (changed.names, changed.at_restart, changed.told) == ((RATE,), (), (f"{RATE}: 5 -> 6",))
    assert site.path.read_text() == FIRST.replace("Hour=5", "Hour=6")
    assert site.path.with_name(f"{site.path.name}.1").read_text() == FIRST
    assert site.settings[RATE] == 6


async def test_a_part_that_refuses_changes_nothing_anywhere(site: Site) -> None:
    site.part("a")
    site.part("b", refuses=True)
    site.part("c")
    with pytest.raises(PortInUse):
        await site.configuration.update({RATE: "6", "grpc.port": "2"})
    assert site.told == ["a apply 6", "b apply 6", "a undo"]
    assert (site.settings[RATE], site.committed) == (5, [])
    assert site.path.read_text() == FIRST
    assert list(site.path.parent.iterdir()) == [site.path]
    assert (await site.configuration.refresh()).names == ()


async def test_a_file_that_cannot_be_written_changes_nothing_anywhere(site: Site) -> None:
    site.part("a")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(FileFailed):
            await site.configuration.update({RATE: "6"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert site.told == ["a apply 6", "a undo"]
    assert (site.settings[RATE], site.path.read_text()) == (5, FIRST)


@pytest.mark.parametrize(
    ("values", "unset", "error"),
    [
        ({RATE: "6", "nonsense": "1"}, (), UnknownProperty),
        ({RATE: "6", "grpc.port": "x"}, (), BadConfiguration),
        ({RATE: "6"}, ("nonsense",), UnknownProperty),
        ({RATE: "6"}, (RATE,), BadConfiguration),
        ({"drive.default.alias1": "a", "default.drive.alias1": "b"}, (), BadConfiguration),
        ({"config.keystore.file": "x" * 5_000}, (), BadConfiguration),
    ],
)
async def test_what_cannot_be_changes_nothing(
    site: Site, values: dict[str, str], unset: tuple[str, ...], error: type[Exception]
) -> None:
    site.part("a")
    with pytest.raises(error):
        await site.configuration.update(values, unset)
    assert (site.told, site.committed, site.path.read_text()) == ([], [], FIRST)
    assert site.settings[RATE] == 5


async def test_what_needs_a_restart_waits_and_no_part_sees_it(site: Site) -> None:
    seen: list[tuple[int, int]] = []
    act = at_once(lambda coming: seen.append((coming[RATE], coming["grpc.port"])))
    site.configuration.on_change((RATE, "grpc.port"), act)
    changed = await site.configuration.update({"grpc.port": "2", RATE: "6"})
    assert changed.at_restart == ("grpc.port",)
    assert seen == [(6, 1)]
    assert (site.settings["grpc.port"], site.configuration.file["grpc.port"]) == (1, 2)
    await site.configuration.update({"grpc.port": "3"})
    assert seen == [(6, 1)], "what is not in force at once concerns nobody"


async def test_the_environment_wins_and_whoever_changes_the_file_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path / "x.properties", {"QEKM_PROPERTY_drive_creationsPerHour": "9"})
    site.part("a")
    changed = await site.configuration.update({RATE: "6", ACCEPT: "pending"})
    assert site.settings[RATE] == 9
    assert changed.notes[0] == (
        f"{RATE} stays 9: QEKM_PROPERTY_drive_creationsPerHour in the environment says so"
    )
    assert changed.at_restart == ()
    assert "creationsPerHour=6" in site.path.read_text()
    assert site.settings[ACCEPT] == "pending"
    assert site.told == ["commit at 9"]


async def test_one_that_is_kept_is_put_in_the_file_and_told_to_mean_nothing(site: Site) -> None:
    changed = await site.configuration.update({"sync.timeinhours": "1", "Server.password": "hunter2"})
    assert changed.at_restart == ()
    assert changed.notes[0].startswith("sync.timeinhours is kept and means nothing here: ")
    assert changed.told[0] == "sync.timeinhours: 24 -> 1"
    assert "hunter2" not in repr((changed, site.committed, vars(site.settings)))
    assert "Server.password=hunter2" in site.path.read_text()


async def test_an_unknown_property_is_taken_out_and_only_out(site: Site) -> None:
    changed = await site.configuration.update({}, ["no.such"])
    assert changed.told == ("no.such is taken out",)
    assert site.settings.unknown == {}
    with pytest.raises(UnknownProperty):
        await site.configuration.update({"no.such": "1"})


async def test_what_was_edited_by_hand_waits_for_a_refresh(site: Site) -> None:
    site.part("a")
    site.path.write_text(FIRST.replace("Hour=5", "Hour=7").replace("port=1", "port=2"))
    await site.configuration.update({ACCEPT: "false"})
    assert (site.settings[RATE], site.settings[ACCEPT]) == (5, "false")
    changed = await site.configuration.refresh()
    assert set(changed.names) == {RATE, "grpc.port"}
    assert changed.at_restart == ("grpc.port",)
    assert set(changed.told) == {f"{RATE}: 5 -> 7", "grpc.port: 1 -> 2"}
    assert site.settings[RATE] == 7
    assert "a apply 7" in site.told
    assert (await site.configuration.refresh()).names == (), "what waits for a restart was told"


async def test_a_refresh_of_a_broken_file_changes_nothing_and_a_status_tells_of_it(site: Site) -> None:
    site.part("a")
    site.path.write_text(FIRST.replace("Hour=5", "Hour=7").replace("port=1", "port=x"))
    with pytest.raises(BadConfiguration, match="line 2"):
        await site.configuration.refresh()
    with pytest.raises(BadConfiguration, match="line 2"):
        await site.configuration.update({RATE: "8"})
    assert (site.settings[RATE], site.told) == (5, [])
    assert (await site.configuration.look())[RATE] == 5
    (line,) = site.configuration.lines()
    assert line.startswith("the next start would fail: KeyManagerConfig.properties, line 2: grpc.port")
    site.path.write_text(FIRST)
    await site.configuration.look()
    assert site.configuration.lines() == []


# One at a time, each to its end.


async def test_two_changes_at_once_are_made_one_after_the_other(site: Site) -> None:
    gate = asyncio.Event()
    site.part("a", gate=gate)
    first = asyncio.create_task(site.configuration.update({RATE: "6"}))
    second = asyncio.create_task(site.configuration.update({ACCEPT: "false", RATE: "7"}))
    await asyncio.sleep(0.05)
    assert site.told == ["a apply 6"]
    gate.set()
    await asyncio.gather(first, second)
    assert [each for each in site.told if "apply" in each or "commit" in each] == [
        *("a apply 6", "commit at 6", "a apply 7", "commit at 7")
    ]
    found = Settings.load(site.path, {})
    assert (found[RATE], found[ACCEPT], site.settings[RATE]) == (7, "false", 7)


async def test_many_changes_at_once_lose_none(site: Site) -> None:
    names = [name for name, item in site.settings.table.items() if item.origin == "kept"]
    await asyncio.gather(*(site.configuration.update({name: "x"}) for name in names))
    text = site.path.read_text()
    assert all(f"{name}=x" in text for name in names)
    assert len(names) > 40


async def test_whoever_goes_meanwhile_changes_nothing_of_it(site: Site) -> None:
    gate = asyncio.Event()
    site.part("a", gate=gate)
    caller = asyncio.create_task(site.configuration.update({RATE: "6"}))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
    await site.configuration.close()
    assert site.told[-1] == "a finish"
    assert (site.settings[RATE], Settings.load(site.path, {})[RATE]) == (6, 6)


async def test_a_change_that_fails_when_nobody_waits_any_more_is_logged_without_a_trace(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()
    site.part("a", refuses=True, gate=gate)
    caller = asyncio.create_task(site.configuration.update({RATE: "6"}))
    await asyncio.sleep(0.01)
    caller.cancel()
    gate.set()
    with caplog.at_level("INFO"):
        await site.configuration.close()
        await asyncio.sleep(0)
    assert "properties were not changed: the port is taken" in caplog.text
    assert site.settings[RATE] == 5


async def test_nothing_changes_while_somebody_needs_it_still(site: Site) -> None:
    async with site.configuration.still():
        change = asyncio.create_task(site.configuration.update({RATE: "6"}))
        await asyncio.sleep(0.05)
        assert site.settings[RATE] == 5
    await change
    assert site.settings[RATE] == 6


async def test_a_file_edited_while_the_parts_are_asked_loses_nothing(site: Site) -> None:
    gate = asyncio.Event()
    site.part("a", gate=gate)
    change = asyncio.create_task(site.configuration.update({RATE: "6"}))
    await asyncio.sleep(0.05)
    edited = FIRST.replace("sync.type=all", "sync.type=config")
    site.path.write_text(edited)
    gate.set()
    await change
    assert site.path.read_text() == edited.replace("Hour=5", "Hour=6")
    assert site.path.with_name(f"{site.path.name}.1").read_text() == edited
    assert (await site.configuration.look()).text("sync.type") == "config"


async def test_a_file_broken_while_the_parts_are_asked_changes_nothing(site: Site) -> None:
    gate = asyncio.Event()
    site.part("a", gate=gate)
    change = asyncio.create_task(site.configuration.update({RATE: "6"}))
    await asyncio.sleep(0.05)
    site.path.write_text("grpc.port=x\n")
    gate.set()
    with pytest.raises(BadConfiguration):
        await change
    assert (site.told, site.settings[RATE]) == (["a apply 6", "a undo"], 5)
    assert site.path.read_text() == "grpc.port=x\n"


async def test_a_file_that_is_renamed_and_not_synced_is_in_force_and_its_author_is_told(site: Site) -> None:
    site.part("a")
    with unsynced(site.path.parent):
        changed = await site.configuration.update({RATE: "6"})
    assert (site.settings[RATE], Settings.load(site.path, {})[RATE]) == (6, 6)
    assert "a undo" not in site.told
    assert "a loss of power may bring back the one before" in changed.notes[-1]


@pytest.mark.parametrize("what", ["settle", "records", "commit"])
async def test_what_fails_behind_the_file_ends_the_service_as_a_failed_store_does(
    site: Site, what: str
) -> None:
    failed: list[BaseException] = []
    site.configuration.failed = failed.append
    site.commit_fails = what == "commit"

    def fail(_any: object) -> NoReturn:
        raise KeyError("unforeseen")

    if what == "settle":
        site.configuration.on_change((RATE,), at_once(fail))
    records: Records = fail if what == "records" else (lambda _changed: ())
    with pytest.raises(StoreFailed):
        await site.configuration.update({RATE: "6"}, records=records)
    assert len(failed) == 1
    assert Settings.load(site.path, {})[RATE] == 6, "its next start has what the file says"


async def test_unknown_properties_are_logged_at_a_start_and_a_refresh_and_not_at_a_look(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.configuration.look()
    assert caplog.text == ""
    site.configuration.begin(None, 1)
    await site.configuration.refresh()
    assert caplog.text.count("property no.such is not known") == 2


async def test_a_store_that_fails_is_told_and_the_file_says_what_the_next_start_has(site: Site) -> None:
    site.commit_fails = True
    with pytest.raises(StoreFailed):
        await site.configuration.update({RATE: "6"})
    assert Settings.load(site.path, {})[RATE] == 6


# What is remembered from one run to the next.


async def test_what_was_changed_while_no_service_ran_is_recorded_at_the_next_start(site: Site) -> None:
    (first,) = site.configuration.begin(None, 1)
    assert isinstance(first, Setting)
    await site.configuration.update({RATE: "6", "grpc.port": "2"})
    before = recall({NAME: last(site.committed)})
    path = site.path
    again = Configuration(path, Settings.load(path, {}), environ={})
    assert again.begin(before, 1) == [remembered(again.known)], "nothing has changed since"
    path.write_text(path.read_text().replace("Hour=6", "Hour=8") + "twoPerson=off\nServer.password=x\n")
    third = Configuration(path, Settings.load(path, {}), environ={})
    setting, record = third.begin(before, 7)
    assert isinstance(record, AuditRecord)
    assert (record.event, record.actor, record.time_us) == ("configuration.change", "server", 7)
    assert set(record.message.split("; ")) == {
        f"{RATE}: 6 -> 8",
        "twoPerson: on -> off",
        "Server.password: (empty) -> (not shown)",
    }
    assert isinstance(setting, Setting)
    assert setting == remembered(third.known)


async def test_what_was_edited_and_not_yet_told_is_told_even_if_something_else_was_changed(
    site: Site,
) -> None:
    site.configuration.begin(None, 1)
    site.path.write_text(FIRST.replace("port=1", "port=2"))
    await site.configuration.update({RATE: "6"})
    again = Configuration(site.path, Settings.load(site.path, {}), environ={})
    _, record = again.begin(recall({NAME: last(site.committed)}), 1)
    assert isinstance(record, AuditRecord)
    assert record.message == "grpc.port: 1 -> 2"


def last(changes: Sequence[Change]) -> str:
    """Return what was remembered last."""
    return [each.value for each in changes if isinstance(each, Setting) and each.name == NAME][-1]


def test_many_changes_are_told_in_a_few_words() -> None:
    assert joined(["a: 1 -> 2", "b: 1 -> 2"]) == "a: 1 -> 2; b: 1 -> 2"
    assert joined(str(number) for number in range(1_025)).endswith("19; and 1,005 more")
    assert recall({}) is None
