"""The gateways have the properties of the service: told when a stream begins, changed at all or at none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from qekm.api import configuring
from qekm.api.configuring import NAMES, NOBODY
from qekm.api.gateways import Link
from qekm.configuration.owner import Changed
from qekm.configuration.settings import amend
from qekm.errors import BadConfiguration, PortInUse
from qekm.properties.listeners import TCP_DRAIN, TCP_PORT
from qekm.v1.server_pb2 import GetStatusRequest, GetStatusResponse
from qekm.v1.serving_pb2 import ConfigureCommand, DebugLine, GatewayHello, ServeRequest
from tests.qekm.api.running import Gateway, Running, running
from tests.qekm.api.test_diagnosis import connected

OLD, NEW = "127.0.0.1:3801", "127.0.0.1:4000"


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """Return a service that waits for a gateway's answer only shortly."""
    monkeypatch.setattr(configuring, "PATIENCE_S", 1.0)
    async with running(tmp_path / "home", keys=1) as run:
        yield run


def change(run: Running, **values: str) -> asyncio.Future[Changed]:
    """Begin to change properties; dots in names as two underscores."""
    wanted = {name.replace("__", "."): text for name, text in values.items()}
    return asyncio.ensure_future(run.service.configuration.update(wanted))


def move(run: Running, port: int = 4000, minutes: str = "10") -> asyncio.Future[Changed]:
    """Begin to move the drives' port."""
    return change(run, **{TCP_PORT.replace(".", "__"): str(port), TCP_DRAIN.replace(".", "__"): minutes})


async def status(run: Running) -> GetStatusResponse:
    """Return what the status says."""
    return await run.client.server.GetStatus(GetStatusRequest())


def file_of(run: Running) -> Mapping[str, str]:
    """Return what a restart would read."""
    return dict(
        line.split("=", 1)
        for line in run.home.config.read_text().splitlines()
        if "=" in line and line[0] != "#"
    )


async def greeted(gateway: Gateway) -> ConfigureCommand:
    """Take the first command of a stream and say that all is well."""
    command = await gateway.command()
    await gateway.report(command, OLD)
    return command


async def test_a_stream_begins_with_all_that_is_in_force(run: Running) -> None:
    async with run.gateway() as gateway:
        told = (await greeted(gateway)).properties
        assert set(told) == set(NAMES)
        settings = run.service.configuration.settings
        assert all(told[name] == settings.text(name) for name in NAMES)


async def test_what_only_the_file_says_is_left_to_the_gateway_that_may_have_read_it(run: Running) -> None:
    amend(run.home.config, {"dkp.tls": "required", "debug": "all"})
    async with run.gateway() as gateway:
        told = (await greeted(gateway)).properties
        assert set(NAMES) - set(told) == {"dkp.tls", "debug"}


async def test_a_change_is_at_the_gateway_before_it_is_in_force_and_in_the_file(run: Running) -> None:
    async with run.gateway() as gateway:
        await greeted(gateway)
        changing = move(run)
        command = await gateway.command()
        assert (command.properties[TCP_PORT], command.properties[TCP_DRAIN]) == ("4000", "10")
        assert run.service.configuration.settings[TCP_PORT] == 3801
        assert file_of(run)[TCP_PORT] == "3801"
        await gateway.report(command, NEW, OLD)
        changed = await changing
        assert changed.notes == (
            "drives are answered on port 4000, and for 10 minutes on 3801 as well: "
            "set the library to the new one until then",
        )
        assert (run.service.configuration.settings[TCP_PORT], file_of(run)[TCP_PORT]) == (4000, "4000")
        told = await status(run)
        assert list(told.tcp_ports) == [4000, 3801]
        assert list(told.gateways[0].addresses) == [NEW, OLD]


async def test_a_change_of_something_else_needs_no_word_of_the_library(run: Running) -> None:
    async with run.gateway() as gateway:
        await greeted(gateway)
        changing = change(run, dkp__idleTimeout="60")
        await gateway.report(await gateway.command(), OLD)
        assert (await changing).notes == ()


@pytest.mark.parametrize(
    ("minutes", "addresses", "words"),
    [
        ("0", (NEW,), "no longer on 3801"),
        ("10", (OLD,), "gateway gateway stays on port 3801: its environment or command line says so"),
    ],
)
async def test_the_administrator_is_told_what_becomes_of_the_port(
    run: Running, minutes: str, addresses: tuple[str, ...], words: str
) -> None:
    async with run.gateway() as gateway:
        await greeted(gateway)
        changing = move(run, minutes=minutes)
        await gateway.report(await gateway.command(), *addresses)
        (note,) = (await changing).notes
        assert words in note


@pytest.mark.parametrize(
    ("reason", "error"), [("PORT_IN_USE", PortInUse), ("BAD_CONFIGURATION", BadConfiguration)]
)
async def test_one_gateway_that_cannot_and_nothing_is_changed_anywhere(
    run: Running, reason: str, error: type[Exception]
) -> None:
    before = run.home.config.read_bytes()
    async with run.gateway() as one, run.gateway() as two:
        await connected(run, 2)
        await greeted(one)
        await greeted(two)
        changing = move(run)
        await one.report(await one.command(), NEW, OLD)
        await two.report(await two.command(), OLD, error="port 4000 is taken", reason=reason)
        for gateway in (one, two):
            back = await gateway.command()
            assert (back.properties[TCP_PORT], back.properties[TCP_DRAIN]) == ("3801", "0")
            await gateway.report(back, OLD)
        for gateway in (one, two):
            last = await gateway.command()
            assert (last.properties[TCP_PORT], last.properties[TCP_DRAIN]) == ("3801", "10")
            await gateway.report(last, OLD)
        with pytest.raises(error, match="gateway gateway: port 4000 is taken"):
            await changing
        assert run.home.config.read_bytes() == before
        assert run.service.configuration.settings[TCP_PORT] == 3801
        told = await status(run)
        assert (list(told.tcp_ports), [line for line in told.degraded if "in force" in line]) == ([3801], [])


async def test_a_file_that_cannot_be_written_takes_it_back_at_the_gateways(run: Running) -> None:
    async with run.gateway() as gateway:
        await greeted(gateway)
        run.home.config.rename(run.home.config.with_suffix(".away"))
        with pytest.raises(BadConfiguration):
            await move(run)
        run.home.config.with_suffix(".away").rename(run.home.config)
        changing = move(run)
        command = await gateway.command()
        run.home.config.unlink()
        run.home.config.mkdir()
        await gateway.report(command, NEW, OLD)
        for minutes in ("0", "10"):
            back = await gateway.command()
            assert (back.properties[TCP_PORT], back.properties[TCP_DRAIN]) == ("3801", minutes)
            await gateway.report(back, OLD)
        with pytest.raises(Exception, match="KeyManagerConfig"):
            await changing
        assert run.service.configuration.settings[TCP_PORT] == 3801


async def test_without_a_gateway_the_file_alone_is_changed_and_that_is_told(run: Running) -> None:
    assert (await move(run)).notes == (NOBODY,)
    assert file_of(run)[TCP_PORT] == "4000"
    async with run.gateway() as gateway:
        assert (await greeted(gateway)).properties[TCP_PORT] == "4000"


async def test_a_gateway_of_an_older_release_never_answers_and_is_no_reason_to_change_nothing(
    run: Running,
) -> None:
    async with run.gateway() as old, run.gateway() as new:
        await connected(run, 2)
        await greeted(new)
        changing = move(run)
        await new.report(await new.command(), NEW, OLD)
        (silent, moved) = sorted((await changing).notes, reverse=True)
        assert silent == (
            "gateway gateway has not answered: it takes this up when it does, connects or starts"
        )
        assert "port 4000" in moved
        assert file_of(run)[TCP_PORT] == "4000"
        del old


async def test_a_gateway_that_leaves_meanwhile_is_told_when_it_is_back(run: Running) -> None:
    async with run.gateway() as leaving:
        await greeted(leaving)
        changing = move(run)
        await leaving.command()
    assert "has not answered" in (await changing).notes[0]
    async with run.gateway() as back:
        assert (await greeted(back)).properties[TCP_PORT] == "4000"


async def test_a_gateway_that_comes_while_a_change_is_made_has_the_new_ones_in_the_end(run: Running) -> None:
    async with run.gateway() as slow:
        await greeted(slow)
        changing = move(run)
        command = await slow.command()
        async with run.gateway() as late:
            await connected(run, 2)
            await asyncio.sleep(0.1)
            await slow.report(command, NEW, OLD)
            await changing
            ports = [(await late.command()).properties[TCP_PORT]]
            while ports[-1] != "4000":
                ports.append((await late.command()).properties[TCP_PORT])
            assert len(ports) <= 2


async def test_a_gateway_that_cannot_have_what_is_in_force_is_degraded_until_it_can(run: Running) -> None:
    async with run.gateway() as gateway:
        await gateway.report(await gateway.command(), OLD, error="port 3801 is taken", reason="PORT_IN_USE")
        words = "gateway gateway does not have the properties in force: port 3801 is taken"
        while words not in (await status(run)).degraded:
            await asyncio.sleep(0.01)
        changing = change(run, debug="all")
        await gateway.report(await gateway.command(), OLD)
        await changing
        told = await status(run)
        assert words not in told.degraded
        assert told.debug


async def test_two_changes_at_once_are_made_one_after_the_other(run: Running) -> None:
    async with run.gateway() as gateway:
        await greeted(gateway)
        first, second = move(run, 4000), move(run, 4001)
        for port in (4000, 4001):
            command = await gateway.command()
            assert command.properties[TCP_PORT] == str(port)
            assert not second.done()
            await gateway.report(command, f"127.0.0.1:{port}", OLD)
        await first
        assert "port 4001" in (await second).notes[0]
        assert file_of(run)[TCP_PORT] == "4001"


async def test_what_a_gateway_says_is_kept_short_and_plain(run: Running) -> None:
    async with run.gateway() as gateway:
        command = await gateway.command()
        await gateway.report(command, *(["a\x1b[31m" * 100] * 100), error="x\n" * 500)
        while not (told := [line for line in (await status(run)).degraded if "in force" in line]):
            await asyncio.sleep(0.01)
        assert len(told[0]) < 300
        assert told[0].isprintable()
        (shown,) = (await status(run)).gateways
        assert len(shown.addresses) == 64
        assert all(address.isprintable() and len(address) <= 200 for address in shown.addresses)


async def test_debug_lines_reach_the_log_short_and_plain_and_one_that_breaks_it_ends_nothing(
    run: Running,
) -> None:
    lines: list[tuple[str, str, str]] = []

    def keep(link: Link, some: Sequence[DebugLine]) -> None:
        lines.extend((link.name, one.source, one.text) for one in some)

    run.service.gateways.debug = keep
    async with run.gateway() as gateway:
        await greeted(gateway)
        told = [DebugLine(source="a:1", text="connected"), DebugLine(source="a:1", text="\x1b" * 1_000)]
        await gateway.stream.write(ServeRequest(debug_lines=told))
        while len(lines) < 2:
            await asyncio.sleep(0.01)
        assert lines == [("gateway", "a:1", "connected"), ("gateway", "a:1", "?" * 200)]
        run.service.gateways.debug = lambda _link, _some: 1 / 0  # type: ignore[assignment]
        await gateway.stream.write(ServeRequest(debug_lines=told))
        run.service.gateways.debug = None
        await gateway.stream.write(ServeRequest(debug_lines=told))
        await asyncio.sleep(0.1)
        assert len(run.service.gateways) == 1
        await gateway.stream.write(ServeRequest(debug_lines=told * 1_000))
        while run.service.gateways:
            await asyncio.sleep(0.01)


async def test_addresses_without_a_port_are_no_ports(run: Running) -> None:
    hello = GatewayHello(version="9", addresses=["x", "[::]:3801", "0.0.0.0:3801", ":", "a:99999999"])
    async with run.gateway(ServeRequest(hello=hello)):
        await connected(run)
        assert list((await status(run)).tcp_ports) == [3801]
