"""The service as a whole: its start, what it does by itself, its end."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from qekm.api.servicers import NAMES
from qekm.errors import BadConfiguration, PortInUse, QekmError, StoreFailed
from qekm.model import Change, KeyState
from qekm.rpc.channel import open_async_channel
from qekm.rpc.tls import Files, client_credentials
from qekm.sealing import SharesSealer
from qekm.store import Sign, Store
from qekm.unlocking import unlock
from qekm.upkeep import BATCH
from qekm.v1 import certificates_pb2, drives_pb2, groups_pb2, keystore_pb2, server_pb2
from qekm.v1.drives_pb2_grpc import DrivesServiceStub
from tests.qekm.api.running import Running, running
from tests.system.processes import run_server
from tests.waiting import PATIENCE_S

DAY_US = 86_400 * 1_000_000
ONE_DISK = ("--property", "keystore.protect=none")
SERVING = health_pb2.HealthCheckResponse.SERVING


def owners(run: Running) -> Any:
    """Return what the service owns."""
    return run.service.owners


async def tick(run: Running) -> None:
    """Have the service do what is due."""
    await run.service.upkeep.tick()


async def check(run: Running, service: str = "") -> int:
    """Ask for the health of a service by name."""
    async with aio.insecure_channel(f"127.0.0.1:{run.ports['health']}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def test_start_and_stop_are_in_the_trail_and_a_restart_finds_everything(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=8):
        pass
    async with running(tmp_path / "home") as run:
        assert owners(run).keystore.counts()[KeyState.READY] == 8
        events = [record.event for record in await run.records()]
        assert events[4:] == ["server.start", "server.stop", "server.start"]


async def test_a_key_whose_session_a_stop_cut_off_is_suspect_after_the_start(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=8) as run:
        keystore = owners(run).keystore
        key = keystore.assign(keystore.next_ready("default"), 5, ("001300000392", b"m" * 16, ""))
        await run.store.commit([key])
    async with running(tmp_path / "home") as run:
        assert owners(run).keystore.by_alias(key.alias).state is KeyState.SUSPECT
        assert "key.suspect" in [record.event for record in await run.records()]
        stored = {each.alias: each.state for each in run.store.load().keys}
        assert stored[key.alias] is KeyState.SUSPECT


async def test_health_is_told_for_every_service_and_for_the_whole_until_the_service_leaves(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home", keys=8) as run:
        assert [await check(run, name) for name in ("", *NAMES)] == [SERVING] * (1 + len(NAMES))
        with pytest.raises(aio.AioRpcError):
            await check(run, "no.such.Service")
        await run.service.listeners.leave()
        assert {await check(run, name) for name in ("", *NAMES)} == {
            health_pb2.HealthCheckResponse.NOT_SERVING
        }


@pytest.mark.parametrize("switched_on", [True, False])
async def test_reflection_answers_only_where_it_is_switched_on(tmp_path: Path, switched_on: bool) -> None:
    async with running(tmp_path / "home", keys=8, grpc__reflection=str(switched_on).lower()) as run:
        files = Files(run.home.certificate("administrator"), run.home.key("administrator"), run.home.trust)
        async with open_async_channel(f"localhost:{run.ports['grpc']}", client_credentials(files)) as channel:
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]
            call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
            if switched_on:
                answer = await call.read()
                listed = {each.name for each in answer.list_services_response.service}
                assert set(NAMES) <= listed
            else:
                with pytest.raises(aio.AioRpcError) as caught:
                    await call.read()
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name in ("grpc", "health"):
            with pytest.raises(PortInUse, match=rf"{port} \({name}\.port\) is taken"):
                properties: Any = {f"{name}__port": str(port)}
                async with running(tmp_path / name, keys=1, **properties):
                    pass


async def test_an_address_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"192\.0\.2\.1 port 0 \(grpc\.port\)"):
        async with running(tmp_path / "home", keys=1, grpc__host="192.0.2.1"):
            pass


async def test_the_service_listens_on_ipv6_too(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=1, grpc__host="::1") as run:
        assert (await run.client.server.GetVersion(server_pb2.GetVersionRequest())).version


async def test_a_group_at_its_low_water_is_filled_up_in_small_commits_while_others_are_answered(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home", keys=200) as run:
        keystore = owners(run).keystore
        given = [
            keystore.assign(key, 5, ("001300000392", b"", ""))
            for key in keystore.page(limit=160, group="default")
        ]
        await run.store.commit(given)
        filling = asyncio.ensure_future(tick(run))
        answered = 0
        while not filling.done():
            await run.client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest())
            answered += 1
        await filling
        assert answered
        assert keystore.counts("default")[KeyState.READY] == 200
        assert len(run.store.load().keys) == 360
        made = [record for record in await run.records() if record.event == "group.refill"]
        assert len(made) == -(-160 // BATCH)
        assert made[0].message.startswith("64 keys for group default")
        await tick(run)
        assert len(run.store.load().keys) == 360


async def test_a_group_that_refuses_is_not_filled_up(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=10) as run:
        request = groups_pb2.UpdateGroupRequest(
            group=groups_pb2.Group(name="default", on_exhaustion=groups_pb2.ON_EXHAUSTION_REFUSE)
        )
        request.update_mask.paths.append("on_exhaustion")
        await run.client.groups.UpdateGroup(request)
        keystore = owners(run).keystore
        for key in keystore.page():
            keystore.assign(key, 5, ("001300000392", b"", ""))
        await tick(run)
        assert len(keystore) == 10


async def test_the_services_own_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=1) as run:
        before = run.home.certificate("server").read_bytes()
        run.clock.ahead_us += 2 * DAY_US
        await tick(run)
        assert run.home.certificate("server").read_bytes() == before
        run.clock.ahead_us += 370 * DAY_US
        await tick(run)
        assert run.home.certificate("server").read_bytes() != before
        assert "certificate.renew" in [record.event for record in await run.records()]


async def test_a_rollover_brings_files_and_the_drives_certificate_into_force(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=1) as run:
        anchor = (await run.client.server.GetStatus(server_pb2.GetStatusRequest())).anchor
        await run.client.certificates.StartRollover(certificates_pb2.StartRolloverRequest())
        assert run.home.trust.read_bytes().count(b"BEGIN CERTIFICATE") == 2
        status = await run.client.server.GetStatus(server_pb2.GetStatusRequest())
        assert any("roll-over" in line for line in status.degraded)
        assert status.anchor == anchor
    async with running(tmp_path / "home") as run:
        await run.client.server.GetVersion(server_pb2.GetVersionRequest())


async def test_refused_callers_are_recorded_and_many_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=1) as run:
        files = Files(run.home.certificate("gateway"), run.home.key("gateway"), run.home.trust)
        target = f"localhost:{run.ports['grpc']}"
        async with open_async_channel(target, client_credentials(files)) as channel:
            for _ in range(20):
                with pytest.raises(aio.AioRpcError):
                    await DrivesServiceStub(channel).ListDrives(drives_pb2.ListDrivesRequest())
        await asyncio.sleep(0.1)
        run.clock.ahead_us += 60_000_000
        await tick(run)
        told = [record for record in await run.records() if record.event == "rpc.refuse"]
        assert [(record.actor, record.code, record.count) for record in told] == [
            ("gateway/gateway", "NOT_ALLOWED", 1),
            ("gateway/gateway", "NOT_ALLOWED", 19),
        ]
        assert "/qekm.v1.DrivesService/ListDrives" in told[0].message


class FailingStore(Store):
    """Fails like a disk that is full once it is told to."""

    full = False

    def start(self, sign_head: Sign | None, on_failure: Callable[[BaseException], None]) -> None:
        """Start, and keep whom to tell."""
        self._tell = on_failure
        super().start(sign_head, on_failure)

    def submit(self, units: Sequence[Sequence[Change]]) -> asyncio.Future[list[QekmError | None]]:
        """Commit, or fail as the real one does: for all, and telling of it once."""
        if not self.full:
            return super().submit(units)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._tell, OSError(errno.ENOSPC, "no space left"))
        failed: asyncio.Future[list[QekmError | None]] = loop.create_future()
        failed.set_result([StoreFailed("a write to the store failed") for _ in units])
        return failed


async def test_a_failed_write_ends_the_service_and_nothing_more_is_served(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed):
        async with running(tmp_path / "home", keys=8, store_type=FailingStore) as run:
            assert isinstance(run.store, FailingStore)
            run.store.full = True
            group = groups_pb2.CreateGroupRequest(group=groups_pb2.Group(name="x"))
            with pytest.raises(StoreFailed):
                await run.client.groups.CreateGroup(group)
            with pytest.raises(StoreFailed):
                await asyncio.wait_for(run.service.wait(), PATIENCE_S)
            await run.service.abort()


# The program.


def test_the_program_says_what_is_wrong_in_its_own_words(tmp_path: Path) -> None:
    for arguments, code, words in (
        (("run", "--home", tmp_path), 6, ("there is no key manager", "hint: make one with: qekm init")),
        (("frobnicate",), 2, ("invalid choice", "--help")),
        ((), 2, ("required", "--help")),
        (("init", "--home", tmp_path, "--keys", "many"), 2, ("--keys", "many")),
        (("init", "--home", tmp_path, "--property", "x"), 2, ("NAME=VALUE",)),
        (("init", "--home", tmp_path, *ONE_DISK, "--password-fd", "77"), 2, ("descriptor 77",)),
        (("init", "--home", tmp_path), 6, ("nowhere to put one", "keystore.protect=none")),
        (("init", "--home", tmp_path, "--shares", "3"), 2, ("M/N",)),
        (("init", "--home", tmp_path, "--shares", "3/5"), 2, ("--shares-fd",)),
        (("audit-verify", tmp_path), 6, ("there is no key manager",)),
        (("run", "--home", tmp_path / ("x" * 300)), 2, ("File name too long",)),
    ):
        done = run_server(*arguments)
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith("qekm-server: error: ")
        assert all(word in done.stderr for word in words), done.stderr
        assert "Traceback" not in done.stderr


def test_init_tells_what_it_made_and_what_is_degraded(tmp_path: Path) -> None:
    init = ("init", "--home", tmp_path / "home", *ONE_DISK)
    done = run_server(*init, "--keys", "64", "--host", "keys.example", "--property", "twoPerson=off")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "making keys: 64 of 64\n"
    for words in (
        "64 in group default",
        "root.key\n",
        "without it every key is lost",
        "one person may",
        "server anchor",
        "DEGRADED",
    ):
        assert words in done.stdout
    again = run_server(*init)
    assert again.returncode == 4
    assert "holds a key manager already" in again.stderr


def test_init_hands_recovery_shares_out_through_a_descriptor_only(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    reader, writer = os.pipe()
    words = ("init", "--home", tmp_path / "home", *ONE_DISK, "--keys", "1", "--shares", "2/3")
    password = ("--password-file", tmp_path / "password")
    done = run_server(*words, *password, "--shares-fd", str(writer), pass_fds=(writer,))
    os.close(writer)
    assert done.returncode == 0, done.stderr
    with os.fdopen(reader) as pipe:
        mnemonics = pipe.read().splitlines()
    assert "root.key, or the password, or any 2 of 3 recovery shares\n" in done.stdout
    assert "without all of them every key is lost" in done.stdout
    assert [len(mnemonic.split()) for mnemonic in mnemonics] == [33] * 3
    said = " ".join((done.stdout + done.stderr).split())
    pairs = [" ".join(pair) for words in map(str.split, mnemonics) for pair in pairwise(words[4:])]
    assert [pair for pair in pairs if pair in said] == []  # one word of a share may well be one of ours
    store = Store.open(tmp_path / "home" / "store" / "qekm.db", unlock(SharesSealer(mnemonics[1:])))
    store.close()


def test_init_tells_what_new_keys_wait_for(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    target = ("--property", f"backup.target={tmp_path / 'backups'}")
    words = ("init", "--home", tmp_path / "home", "--keys", "1", *target)
    refused = run_server(*words)
    assert (refused.returncode, "--same-disk" in refused.stderr) == (6, True)
    done = run_server(*words, "--property", "backup.sameDisk=true")
    assert done.returncode == 0, done.stderr
    assert f"once they are in a backup in {tmp_path / 'backups'}\n" in done.stdout
    assert "DEGRADED backups are on the store's own file system" in done.stdout
