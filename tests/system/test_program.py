"""What the README shows to a programmer, as it is printed there, against a running service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qekm.errors import BadArgument, NotAllowed, UnknownKey
from qekm.rpc.channel import open_channel
from qekm.rpc.tls import Files, client_credentials
from qekm.v1 import drives_pb2, keystore_pb2
from tests.pages import ROOT, joined, split
from tests.system.command import ask_qekm, run_qekm
from tests.system.processes import Estate, environment, made

KEYS = 7
PORT = "localhost:3802"  # as the README has it; a test's service listens elsewhere
BLOCKS = split(ROOT / "README.md")[0]
NO_SCHEMA = ("--schema proto", "")
GET = keystore_pb2.GetKeystoreRequest()
UNKNOWN = keystore_pb2.GetKeyRequest(alias="QKM00FFFFFFFFFFFFFFFF")


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with made(tmp_path_factory.mktemp("program") / "home", keys=KEYS) as running:
        yield running.start(gateway=False)


def the_block(words: str) -> str:
    """Return the one block of the README that has these words."""
    (found,) = (block.text for block in BLOCKS if words in block.text)
    return found


def run_shown(estate: Estate, *command: str) -> subprocess.CompletedProcess[str]:
    """Run what is shown, in the repository, with QEKM_HOME and our programs on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=environment(QEKM_HOME=str(estate.home.path), PATH=path),
    )


def buf_curl(estate: Estate, change: tuple[str, str] = ("", "")) -> subprocess.CompletedProcess[str]:
    """Run the README's `buf curl` on the port that the service has."""
    (command,) = joined(the_block("buf curl"))
    assert PORT in command
    command = command.replace(PORT, f"localhost:{estate.ports['grpc']}").replace(*change)
    return run_shown(estate, "bash", "-euo", "pipefail", "-c", command)


def test_the_three_lines_run_as_printed(estate: Estate) -> None:
    done = run_shown(estate, sys.executable, "-c", the_block("from qekm.client import connect"))
    assert (done.returncode, done.stderr) == (0, "")
    with estate.client() as service:
        assert done.stdout.strip() == str(service.keystore.GetKeystore(GET).counts)
    assert f"count: {KEYS}" in done.stdout


def test_buf_curl_as_printed_returns_the_same_counts(estate: Estate) -> None:
    done = buf_curl(estate)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == [{"state": "KEY_STATE_READY", "count": str(KEYS)}]


async def test_the_same_call_works_with_asyncio(estate: Estate) -> None:
    async with estate.client_async() as service:
        (count,) = (await service.keystore.GetKeystore(GET)).counts
        assert (count.state, count.count) == (keystore_pb2.KEY_STATE_READY, KEYS)
        stream = service.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=0))
        with pytest.raises(BadArgument):
            [answer async for answer in stream]


def test_errors_are_those_of_our_tree_with_what_to_do(estate: Estate) -> None:
    with estate.client() as service:
        with pytest.raises(UnknownKey, match="alias") as caught:
            service.keystore.GetKey(UNKNOWN)
        with pytest.raises(BadArgument) as refused:
            next(iter(service.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=0))))
    assert caught.value.advice == UnknownKey.hint == "list the keys with: qekm keys list"
    assert caught.value.details["alias"] == UNKNOWN.alias
    assert refused.value.details["field"] == "count"


async def test_errors_are_the_same_with_asyncio(estate: Estate) -> None:
    async with estate.client_async() as service:
        with pytest.raises(UnknownKey) as caught:
            await service.keystore.GetKey(UNKNOWN)
    assert caught.value.advice == UnknownKey.hint


def test_a_program_can_have_a_certificate_with_fewer_rights(estate: Estate) -> None:
    ask_qekm(estate.home, "certificates", "issue", "auditor", "reports", "--out", str(estate.home.pki))
    with estate.client("reports") as service:
        assert service.keystore.GetKeystore(GET).counts[0].count == KEYS
        with pytest.raises(NotAllowed) as caught:
            service.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drives_pb2.Drive(serial="1")))
    assert caught.value.details["role"] == "auditor"


def test_what_the_readme_tells_of_the_command_line_is_so(estate: Estate) -> None:
    done = run_qekm(estate.home, "keys", "show", UNKNOWN.alias)
    lines = done.stderr.splitlines()
    assert [line[: len("qekm: error: ")] for line in lines] == ["qekm: error: ", "qekm: hint: l"]
    assert (done.returncode, done.stdout) == (3, "")


# Health and reflection.


def health_of(estate: Estate, service: str = "") -> Any:
    """Ask the health port, without a certificate."""
    with grpc.insecure_channel(f"127.0.0.1:{estate.ports['health']}") as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return stub.Check(request, timeout=10).status


def test_health_is_told_on_a_port_of_its_own(estate: Estate) -> None:
    for service in ("", "qekm.v1.KeystoreService", "qekm.v1.ServingService"):
        assert health_of(estate, service) == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health_of(estate, "qekm.v1.NoService")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_knows_nothing_else(estate: Estate) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{estate.ports['health']}") as channel:
        call: Any = channel.unary_unary("/qekm.v1.KeystoreService/GetKeystore")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_without_reflection_a_schema_is_needed(estate: Estate) -> None:
    done = buf_curl(estate, NO_SCHEMA)
    assert (done.returncode != 0, done.stdout) == (True, "")
    files = Files(
        estate.home.certificate("administrator"), estate.home.key("administrator"), estate.home.trust
    )
    with open_channel(f"localhost:{estate.ports['grpc']}", client_credentials(files), []) as channel:
        call: Any = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b""]), timeout=10))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_with_reflection_no_schema_is_needed(tmp_path: Path) -> None:
    with made(tmp_path / "home", keys=KEYS, grpc__reflection="true") as reflecting:
        reflecting.start(gateway=False)
        done = buf_curl(reflecting, NO_SCHEMA)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["counts"] == [{"state": "KEY_STATE_READY", "count": str(KEYS)}]
