"""`make bench`: the full exchange on 3801 beside a bare gRPC echo, interleaved, as ratios.

An exchange is a drive's whole session for a new key: three frames each way, two signatures by the drive, two
by the service, all checked, a key wrapped and unwrapped, a confirmation, two durable commits. A call is a
unary echo of 400 bytes over mTLS with stock options. Both have as many in flight as there are drives. CPU is
what the kernel accounted to each process. Exits non-zero only if every round misses an aim threefold.
"""

from __future__ import annotations

import argparse
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import echo
from report import Pair, Sample, print_report

from qekm.client import connect
from qekm.home import Home, Running
from qekm_gateway.simulator.authority import make_authority
from qekm_gateway.simulator.folder import dump_authority

HERE = Path(__file__).parent
COUNTS = (1, 16, 128)
TICKS = os.sysconf("SC_CLK_TCK")
KEYS_A_SECOND = 3_000  # more than any machine of two cores serves
PROPERTIES = (
    "keystore.protect=none",
    "grpc.port=0",
    "health.port=0",
    "metrics.port=0",
    "gateway.metrics.port=0",
    "TransportListener.tcp.port=0",
    "TransportListener.ssl.port=0",
    "drive.creationsPerHour=1000000",
    "dkp.connectionsPerAddress=1000",  # all drives come from one address here
)
LOADS = 2  # processes of drives; four were no faster
PATIENCE_S = 60.0  # for one line of a child
Child = subprocess.Popen[str]


@contextmanager
def child(*arguments: str | Path) -> Iterator[Child]:
    """Run a Python program beside us, and end it."""
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def tell(load: Child, count: int, seconds: float) -> None:
    """Send `COUNT SECONDS` to a load process."""
    assert load.stdin is not None
    load.stdin.write(f"{count} {seconds}\n")
    load.stdin.flush()


def hear(process: Child) -> list[str]:
    """Read one line of words from a child."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    words = process.stdout.readline().split() if ready else []
    if not words:
        raise SystemExit("bench: error: a load process ended, or does not answer")
    return words


def measure(loads: list[Child], servers: dict[str, int], name: str, count: int, seconds: float) -> Sample:
    """Share `count` out among the loads; account the CPU of servers by name, and of the loads as `name`."""
    before = {server: cpu_seconds(pid) for server, pid in servers.items()}
    shares = [count // len(loads) + (number < count % len(loads)) for number in range(len(loads))]
    busy = [(load, share) for load, share in zip(loads, shares, strict=True) if share]
    for load, share in busy:
        tell(load, share, seconds)
    answers = [[float(word) for word in hear(load)] for load, _ in busy]
    done, wall, cpu, p50, p99, failures = map(list, zip(*answers, strict=True))
    if not sum(done) or sum(failures):
        raise SystemExit(f"bench: error: {sum(failures):.0f} exchanges failed, {sum(done):.0f} went well")
    used = {server: (cpu_seconds(pid) - before[server]) / sum(done) * 1e6 for server, pid in servers.items()}
    used[name] = sum(cpu) / sum(done) * 1e6
    # Percentiles of equal shares of one load: their mean is near enough to the whole's.
    return Sample(sum(done) / max(wall), statistics.mean(p50), statistics.mean(p99), used)


def wait_for(home: Home, name: str, seconds: float = 180.0) -> Running:
    """Return what a program announced in the home once it listens."""
    end = time.monotonic() + seconds
    while (found := home.running(name)) is None:
        if time.monotonic() > end:
            raise SystemExit(f"bench: error: the {name} did not start")
        time.sleep(0.05)
    return found


@contextmanager
def key_manager(folder: Path, keys: int, *more: str) -> Iterator[tuple[dict[str, int], int, str]]:
    """Make and start a key manager that knows the drives' authority; yield process ids, port, anchor.

    more: further properties, NAME=VALUE.
    """
    from qekm.v1.drives_pb2 import CreateAuthorityRequest
    from qekm.v1.server_pb2 import GetStatusRequest

    home = Home(folder / "home")
    program = [sys.executable, "-m", "qekm.server", "init", "--home", str(home.path), "--keys", str(keys)]
    settings = [f"--property={setting}" for setting in (*PROPERTIES, *more)]
    subprocess.run([*program, *settings], check=True, capture_output=True)
    with child("-m", "qekm.server", "run", "--home", home.path):
        server = wait_for(home, "server")
        with child("-m", "qekm_gateway.server", "run", "--home", home.path):
            gateway = wait_for(home, "gateway")
            with connect(home.path) as service:
                pem = (folder / "drives/authority/ca.pem").read_bytes()
                service.drives.CreateAuthority(CreateAuthorityRequest(certificate=pem))
                anchor = service.server.GetStatus(GetStatusRequest()).anchor.hex()
            yield {"service": server.pid, "gateway": gateway.pid}, gateway.ports["tcp"], anchor


def run(folder: Path, counts: tuple[int, ...], rounds: int, seconds: float) -> dict[int, list[Pair]]:
    """Measure; drives in several processes, because one could not keep two cores busy."""
    echo.make_certificates(folder)
    dump_authority(folder / "drives", make_authority(time.time_ns() // 1000))
    keys = int(rounds * seconds * len(counts) * KEYS_A_SECOND) + 4_096
    share = -(-max(counts) // LOADS)
    print(f"making a key manager with {keys} keys, and {LOADS * share} drives", flush=True)
    pairs: dict[int, list[Pair]] = {count: [] for count in counts}
    with ExitStack() as stack:
        servers, port, anchor = stack.enter_context(key_manager(folder, keys))
        program = (HERE / "drives.py", str(port), anchor, folder / "drives")
        firsts = range(0, LOADS * share, share)
        drives = [stack.enter_context(child(*program, str(first), str(share))) for first in firsts]
        server = stack.enter_context(child(HERE / "echo.py", "serve", folder))
        client = [stack.enter_context(child(HERE / "echo.py", "call", folder, hear(server)[0]))]
        for process in drives:
            hear(process)  # ready
        for number in range(-1, rounds):  # the first round warms up: chains proved, drives entered
            for count in counts:
                length = seconds if number >= 0 else 1.0
                exchange = measure(drives, servers, "drives", count, length)
                call = measure(client, {"server": server.pid}, "client", count, length)
                if number >= 0:
                    pairs[count].append((exchange, call))
            print(f"round {number + 1} of {rounds}", flush=True)
    return pairs


def main() -> int:
    """Run the bench and print its report."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    parser.add_argument("--drives", type=int, nargs="+", default=COUNTS, help="how many at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qekm-bench-") as name:
        pairs = run(Path(name), tuple(options.drives), options.rounds, options.seconds)
    return 0 if print_report(pairs) else 1


if __name__ == "__main__":
    sys.exit(main())
