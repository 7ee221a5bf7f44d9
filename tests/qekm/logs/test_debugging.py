"""The debug log: everything between drives and service while it is on, and no cost while it is off."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from qekm.dkp.codes import Ask, Code, Fault
from qekm.dkp.frame import Frame
from qekm.logs.debugging import Debugging, Seen, Tap, lines_of
from qekm.serving import Decision
from qekm.v1.serving_pb2 import DebugLine, ServeRequest
from qekm_gateway.simulator.errand import Refused
from tests.faults.canary import Canaries
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.running import Gateway, Running, running
from tests.waiting import until, wait_for

PING = Frame(0x01, 0, 0, 1, ())
BOTH = frozenset({"transport", "logic"})


class Fixed:
    """What stands for Serving where only the way to it is looked at."""

    def decide(self, frame: Frame, source: str, gateway: str) -> Decision:
        """Refuse."""
        return Decision(Fault(Code.EE0F), (), 0, 2)


def test_off_it_costs_nothing() -> None:
    """The way through the tap beside the direct one, in turns."""
    serving = Fixed()
    tap = Tap(serving)
    assert tap.decide == serving.decide
    tap.look(lambda *_seen: None)
    tap.leave()
    assert tap.decide == serving.decide

    class Direct:
        def __init__(self) -> None:
            self.served = serving

        def turn(self) -> None:
            self.served.decide(PING, "", "")

    class Tapped:
        def __init__(self) -> None:
            self.tap = tap

        def turn(self) -> None:
            self.tap.decide(PING, "", "")

    direct, tapped = Direct().turn, Tapped().turn
    ratios = [taken(tapped) / taken(direct) for _ in range(15)]
    ratio = statistics.median(ratios)
    print(f"a turn through the tap while it is off: {ratio:.3f} of one without it; promised: 1.05")
    assert ratio < 1.15


def taken(turn: Callable[[], None], count: int = 20_000) -> float:
    """Return the seconds that some turns take."""
    begun = time.thread_time()  # not the wall's: other tests run at the same time
    for _ in range(count):
        turn()
    return time.thread_time() - begun


def test_lines_are_of_the_classes_that_were_asked_for() -> None:
    seen = Seen(1, "g#1", "192.0.2.7:4", PING, Decision(Fault(Code.EE31, "no\nkey"), (), 7, 2))
    both = [*lines_of(seen, BOTH)]
    assert [line.split(" ")[1] for line in both] == ["transport", "logic"]
    assert both[1] == (
        "1970-01-01T00:00:00.000001Z logic g#1 192.0.2.7:4 "
        "session=0000000000000007 answer=EE31 no?key changes=[]\n"
    )
    assert [*lines_of(seen, frozenset({"logic"}))] == both[1:]
    assert [*lines_of(seen, frozenset({"admin"}))] == []


def test_a_line_of_a_gateway_is_one_line() -> None:
    (line,) = lines_of(Seen(1, "g\n#1", "a b\n", None, "TLS\nforged"), BOTH)
    assert line.count("\n") == 1
    assert "TLS\\u000aforged" in line


def test_switched_while_thousands_wait_one_writer_has_the_file_and_no_line_is_lost_or_out_of_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "debug_server"
    tap = Tap(Fixed())
    debugging = Debugging(path, tap, lambda gateway: f"{gateway} is described")
    most = 0
    for classes in ("transport", "logic", "", "transport+logic", "", "logic"):
        if classes:
            debugging.begin(frozenset(classes.split("+")))
        else:
            debugging.end()
        for number in range(300):
            tap.decide(PING, f"{classes or 'off'}/{number}", "g#1")
        most = max(most, len(couriers()))
    debugging.close(20.0)
    assert most == 1
    lines = path.read_text().splitlines()
    times = [line.split(" ")[0] for line in lines]
    assert times == sorted(times)
    assert [line for line in lines if "missing" in line] == []
    told = [line.split(" ")[1:4:2] for line in lines if "/" in line]
    assert told == [
        [category, f"{classes}/{number}"]
        for classes in ("transport", "logic", "transport+logic", "logic")
        for number in range(300)
        for category in classes.split("+")
    ]


def couriers() -> list[threading.Thread]:
    """Return the threads that write debug logs."""
    return [each for each in threading.enumerate() if each.name.startswith("courier: debug log")]


def test_switched_off_it_holds_no_file_and_on_again_it_goes_on_in_it(tmp_path: Path) -> None:
    path = tmp_path / "debug_server"
    debugging = Debugging(path, Tap(Fixed()), str)
    for count in (1, 2):
        debugging.begin(BOTH)
        wait_for(lambda: path.exists() and held(path))
        debugging.end()
        wait_for(lambda: not held(path))
        assert path.read_text().count("debug is off") == count
    debugging.close(10.0)


def held(path: Path) -> bool:
    """Tell whether this process has a file open."""
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if each.readlink() == path:
                return True
    return False


def log_of(run: Running) -> Path:
    """Return the debug log."""
    return run.home.path / "keymanager" / "debug_server"


def switch(run: Running, classes: str) -> None:
    """Switch it, as a change of the property does (tests/system/test_logs.py makes one)."""
    coming = run.service.configuration.settings.copy()
    coming.put("debug", classes, "test")
    run.service.logs.switch(coming)


async def test_it_is_off_at_first_and_then_there_is_no_file(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=8) as run:
        site = await Site.of(run)
        async with run.gateway() as gateway:
            await play(gateway, site.asking())
        assert not log_of(run).exists()


async def test_switched_on_and_off_while_drives_work_no_request_fails(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=300, drive__creationsPerHour="10000") as run:
        site = await Site.of(run)
        keys: dict[str, bytes] = {}
        done = asyncio.Event()

        async def work(gateway: Gateway, serial: str) -> int:
            drive, count = site.drive(serial), 0
            while not done.is_set():
                asking = site.asking(drive)
                await play(gateway, asking)
                key = asking.outcome.key
                assert key is not None
                keys[f"key {key.alias}"] = key.material
                count += 1
                await asyncio.sleep(0.02)
            return count

        async with run.gateway() as one, run.gateway() as other:
            works = [
                asyncio.create_task(work(one, "001300000392")),
                asyncio.create_task(work(other, "001310000363")),
            ]
            for classes in ("all", "transport", "none", "all", "none", "logic", "none"):
                switch(run, classes)
                await asyncio.sleep(0.2)
            await until(lambda: run.service.logs.debugging._courier.is_idle)
            size = log_of(run).stat().st_size
            await asyncio.sleep(0.3)
            assert log_of(run).stat().st_size == size
            done.set()
            assert min(await asyncio.gather(*works)) > 2
        text = log_of(run).read_text()
        assert 'serial="001300000392"' in text
        assert "key.install/success" in text
        assert "9.9.9, at 127.0.0.1:3801" in text
        assert keys
        assert [*Canaries(keys).search(text.encode(), "the debug log")] == []


async def test_what_goes_wrong_is_told_with_its_code(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=8, debug="all") as run:
        site = await Site.of(run)
        async with run.gateway() as gateway:
            asking = site.asking(ask=Ask.ACQUIRE, dki=b"KEY" + bytes(9))
            with suppress(Refused):
                await play(gateway, asking)
            line = DebugLine(source="192.0.2.9:7", text="no frame: 47 45 54")
            await gateway.stream.write(ServeRequest(debug_lines=[line]))
            await until(lambda: "47 45 54" in log_of(run).read_text())
        text = log_of(run).read_text()
        assert "answer=EE31 no key has this DKi" in text
        assert "sense=7/EF10(acquire)" in text
        assert "192.0.2.9:7 no frame: 47 45 54" in text


async def test_deleted_or_moved_it_is_made_anew(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=8, debug="all") as run:
        site = await Site.of(run)
        path, drive = log_of(run), site.drive()
        async with run.gateway() as gateway:
            await play(gateway, site.asking(drive))
            await until(lambda: "key.install" in path.read_text())
            path.rename(path.with_name("moved"))
            await play(gateway, site.asking(drive))
            await until(path.exists)
            path.unlink()
            await play(gateway, site.asking(drive))
            await until(lambda: path.exists() and "key.install" in path.read_text())
            assert path.stat().st_mode & 0o777 == 0o600


async def test_where_it_cannot_be_written_drives_are_served_and_the_status_says_so(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=8) as run:
        site = await Site.of(run)
        log_of(run).parent.mkdir(exist_ok=True)
        log_of(run).mkdir()
        switch(run, "all")
        async with run.gateway() as gateway:
            asking = site.asking()
            await play(gateway, asking)
            assert asking.outcome.key is not None
        await until(lambda: any("debug log" in line for line in run.service.lines()))
        (line,) = [line for line in run.service.lines() if "debug log" in line]
        assert line.endswith("cannot be written: Is a directory")
        log_of(run).rmdir()
        switch(run, "none")
        assert not any("debug log" in line for line in run.service.lines())


def test_on_it_takes_little_of_the_streams_time() -> None:
    """A turn is only queued there; the lines are made in another thread."""
    tap = Tap(Fixed())
    queued: list[object] = []
    direct = taken(lambda: tap.decide(PING, "", ""))
    tap.look(lambda *seen: queued.append(seen))
    on = taken(lambda: tap.decide(PING, "", ""))
    print(f"a turn that is seen takes {(on - direct) / 20_000 * 1e6:.2f} us more; promised: 5")
    assert (on - direct) / 20_000 < 15e-6
    assert len(queued) == 20_000
