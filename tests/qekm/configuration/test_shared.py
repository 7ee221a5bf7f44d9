"""Two servers have the same policy: what is changed at one is in force at the other, once, and by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qekm.configuration.differences import recall
from qekm.configuration.owner import Configuration
from qekm.configuration.settings import Settings, amend
from qekm.configuration.shared import SHARED, SharedProperties
from qekm.model import AuditRecord, Change, Setting, SharedProperty

RATE, ACCEPT, PORT = "drive.creationsPerHour", "drive.acceptUnknownDrives", "TransportListener.tcp.port"
FIRST = f"# mine\n{RATE}=5\ngrpc.port=1\n"


@dataclass
class Server:
    """A configuration and what it committed."""

    path: Path
    environ: dict[str, str] = field(default_factory=dict)
    journaling: bool = True
    committed: list[Change] = field(default_factory=list)
    rows: tuple[SharedProperty, ...] = ()
    before: dict[str, str] | None = None
    now_us: int = 1_000_000_000

    def __post_init__(self) -> None:
        """Start."""
        if not self.path.exists():
            self.path.write_text(FIRST)
        settings = Settings.load(self.path, self.environ)
        self.configuration = Configuration(self.path, settings, self.commit, self.environ)
        self.sharing = SharedProperties(
            self.rows, self.configuration, self, lambda _name: "b", lambda: self.now_us
        )
        self.committed += self.sharing.start(self.before)
        self.committed += self.configuration.begin(self.before, 5)

    async def commit(self, changes: Sequence[Change]) -> None:
        """Stand for the store."""
        self.committed += changes

    async def later(self) -> None:
        """Look again, eleven seconds later."""
        self.now_us += 11_000_000
        await self.sharing.tick()

    def shared(self) -> list[SharedProperty]:
        """Return what others are told, and forget it."""
        found = [each for each in self.committed if isinstance(each, SharedProperty)]
        self.committed = [each for each in self.committed if not isinstance(each, SharedProperty)]
        return found

    def again(self) -> Server:
        """Return the server after a start, with what its store has."""
        settings = {each.name: each.value for each in self.committed if isinstance(each, Setting)}
        rows = tuple(SharedProperty(name, value) for name, value in self.sharing._rows.items())
        return Server(self.path, self.environ, rows=rows, before=recall(settings))


async def test_a_change_here_is_told_and_one_that_is_nobodys_business_is_not(tmp_path: Path) -> None:
    one = Server(tmp_path / "one")
    await one.configuration.update({RATE: "7", PORT: "4711", "debug": "all"})
    assert one.shared() == [SharedProperty(RATE, "7")]
    await one.configuration.update({RATE: "7"})
    assert one.shared() == []
    amend(one.path, {RATE: "8", "health.port": "1234"})
    await one.configuration.refresh()
    assert one.shared() == [SharedProperty(RATE, "8")]
    await one.configuration.update({}, [RATE])
    assert one.shared() == [SharedProperty(RATE, "120")]


async def test_a_change_there_is_in_force_here_and_not_told_back(tmp_path: Path) -> None:
    one = Server(tmp_path / "one")
    one.sharing.heard(SharedProperty(RATE, "9"))
    await one.later()
    assert one.configuration.settings[RATE] == 9
    assert f"{RATE}=9" in one.path.read_text()
    assert f"{RATE}=5" in one.path.with_name("one.1").read_text(), "the version before is kept"
    assert one.shared() == []
    (record,) = [each for each in one.committed if isinstance(each, AuditRecord)]
    assert (record.event, record.actor) == ("configuration.change", "server")
    assert record.message == f"as server b has it: {RATE}: 5 -> 9"
    await one.later()
    assert one.sharing.lines() == []
    assert len([each for each in one.committed if isinstance(each, AuditRecord)]) == 1


async def test_who_has_no_peer_tells_nobody(tmp_path: Path) -> None:
    one = Server(tmp_path / "one", journaling=False)
    await one.configuration.update({RATE: "7"})
    assert one.shared() == []


async def test_a_change_of_one_does_not_take_back_what_has_just_come_of_another(tmp_path: Path) -> None:
    one = Server(tmp_path / "one")
    one.sharing.heard(SharedProperty(RATE, "9"))
    await one.configuration.update({ACCEPT: "pending"})
    assert one.shared() == [SharedProperty(ACCEPT, "pending")]
    await one.later()
    assert one.configuration.settings[RATE] == 9


async def test_who_changes_what_has_just_come_decides(tmp_path: Path) -> None:
    one = Server(tmp_path / "one")
    one.sharing.heard(SharedProperty(RATE, "9"))
    await one.configuration.update({RATE: "3"})
    assert one.shared() == [SharedProperty(RATE, "3")]
    await one.later()
    assert one.configuration.settings[RATE] == 3


async def test_what_cannot_be_taken_is_named_kept_and_tried_again(tmp_path: Path) -> None:
    one = Server(tmp_path / "one")
    one.sharing.heard(SharedProperty(ACCEPT, "sometimes"))
    one.sharing.heard(SharedProperty("drive.newerThanThis", "yes"))
    one.sharing.heard(SharedProperty(RATE, "9"))
    await one.later()
    assert one.configuration.settings[RATE] == 9, "one that cannot be keeps no other one out"
    first, second = one.sharing.lines()
    assert first.startswith(f"{ACCEPT}=sometimes of server b is not taken: ")
    assert second.startswith("drive.newerThanThis=yes of server b is not taken: there is no property")
    later = one.again()
    await later.later()
    assert len(later.sharing.lines()) == 2
    later.sharing.heard(SharedProperty(ACCEPT, "false"))
    await later.later()
    assert later.configuration.settings[ACCEPT] == "false"
    assert len(later.sharing.lines()) == 1


async def test_what_another_server_says_forges_no_line(tmp_path: Path) -> None:
    one = Server(tmp_path / "one")
    one.sharing.heard(SharedProperty("no.such\n\x1b[2J", "a\nb"))
    one.sharing.heard(SharedProperty(RATE, "7\nkeystore.protect=none"))
    await one.later()
    assert len(one.sharing.lines()) == 2
    assert all(line.isprintable() for line in one.sharing.lines())
    assert one.path.read_text() == FIRST


async def test_what_was_edited_while_the_server_did_not_run_is_told_and_what_others_did_is_taken(
    tmp_path: Path,
) -> None:
    one = Server(tmp_path / "one")
    await one.configuration.update({RATE: "7", ACCEPT: "false"})
    amend(one.path, {RATE: "8"})
    one.sharing._rows[ACCEPT] = "pending"  # the row is on the disk, the file was not written any more
    again = one.again()
    assert again.shared() == [SharedProperty(RATE, "8")]
    await again.later()
    assert again.configuration.settings[ACCEPT] == "pending"
    assert again.again().shared() == []


async def test_what_the_environment_says_is_one_servers_own(tmp_path: Path) -> None:
    variable = "QEKM_PROPERTY_drive_creationsPerHour"
    one = Server(tmp_path / "one", {variable: "66"}, before={})
    assert one.shared() == []
    await one.configuration.update({RATE: "7"})
    assert one.shared() == []
    one.sharing.heard(SharedProperty(RATE, "9"))
    await one.later()
    assert one.configuration.settings[RATE] == 66
    assert f"{RATE}=9" in one.path.read_text()
    assert one.sharing.lines() == []


def test_properties_that_all_have_in_common_are_in_the_table() -> None:
    assert RATE in SHARED and PORT not in SHARED
