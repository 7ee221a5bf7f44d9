"""`make bench`: the full exchange on 3801 beside a bare gRPC echo, interleaved, as ratios.

One exchange is a drive's whole session for a new key: three frames each way, two signatures by the drive and two by the
service, all checked, one key wrapped and unwrapped, one confirmation, two durable commits. One call is a unary echo of
400 bytes over mTLS with stock options. Both have as many in flight as there are drives. CPU is what the kernel
accounted to each process. Prints medians over the rounds; exits non-zero only if an aim is missed threefold.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import echo

from qekm.home import Home

HERE = Path(__file__).parent
COUNTS = (1, 16, 128)
TICKS = os.sysconf("SC_CLK_TCK")
AIM_CPU, AIM_RATE, SLACK = 1.0, 0.5, 3.0


@dataclass(frozen=True)
class Sample:
    """One measurement: rate a second, latencies in seconds, CPU microseconds a piece by process."""

    rate: float
    p50: float
    p99: float
    cpu_us: dict[str, float]


@contextmanager
def child(*arguments: str | Path, wait: bool = True, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program beside us, and end it."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def tell(load: subprocess.Popen[str], count: int, seconds: float) -> None:
    """Send `COUNT SECONDS` to a load process."""
    assert load.stdin is not None
    load.stdin.write(f"{count} {seconds}\n")
    load.stdin.flush()


def hear(load: subprocess.Popen[str]) -> list[float]:
    """Read a load process's line: done, wall, CPU, p50, p99, failures."""
    assert load.stdout is not None
    answer = load.stdout.readline().split()
    if not answer:
        raise SystemExit("bench: error: a load process ended")
    return [float(word) for word in answer]


def measure(
    loads: list[subprocess.Popen[str]], servers: dict[str, int], name: str, count: int, seconds: float
) -> Sample:
    """Share `count` out among the loads, and account the CPU of the servers by name and of the loads as `name`."""
    before = {server: cpu_seconds(pid) for server, pid in servers.items()}
    shares = [count // len(loads) + (number < count % len(loads)) for number in range(len(loads))]
    busy = [(load, share) for load, share in zip(loads, shares, strict=True) if share]
    for load, share in busy:
        tell(load, share, seconds)
    answers = [hear(load) for load, _ in busy]
    done = sum(answer[0] for answer in answers)
    failures = sum(answer[5] for answer in answers)
    if not done or failures:
        raise SystemExit(f"bench: error: {failures:.0f} exchanges failed, {done:.0f} went well")
    used = {server: (cpu_seconds(pid) - before[server]) / done * 1e6 for server, pid in servers.items()}
    wall = max(answer[1] for answer in answers)
    cpu = sum(answer[2] for answer in answers)
    # Percentiles of equal shares of the same load: their mean is near enough to the whole's.
    p50, p99 = (statistics.mean(answer[place] for answer in answers) for place in (3, 4))
    return Sample(done / wall, p50, p99, used | {name: cpu / done * 1e6})


@contextmanager
def key_manager(folder: Path, keys: int) -> Iterator[tuple[Home, dict[str, int], int, str]]:
    """Make and start a key manager with a drive authority; yield home, process ids, port, anchor."""
    from qekm.client import connect
    from qekm.v1.drives_pb2 import CreateAuthorityRequest

    home = Home(folder / "home")
    free = ("grpc.port=0", "health.port=0", "TransportListener.tcp.port=0", "drive.creationsPerHour=1000000",
            "dkp.connectionsPerAddress=1000")
    settings = [f"--property={setting}" for setting in free]
    subprocess.run(
        [sys.executable, "-m", "qekm.server", "init", "--home", home.path, "--keys", str(keys), *settings],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(child("-m", "qekm.server", "run", "--home", home.path))
        wait_for(home, "server")
        stack.enter_context(child("-m", "qekm_gateway.server", "run", "--home", home.path))
        wait_for(home, "gateway")
        with connect(home.path) as service:
            from qekm.v1.server_pb2 import GetStatusRequest

            pem = (folder / "drives/authority/ca.pem").read_bytes()
            service.drives.CreateAuthority(CreateAuthorityRequest(certificate=pem))
            anchor = service.server.GetStatus(GetStatusRequest()).anchor.hex()
        server, gateway = home.running("server"), home.running("gateway")
        assert server is not None and gateway is not None
        pids = {"service": server.pid, "gateway": gateway.pid}
        yield home, pids, gateway.ports["tcp"], anchor


def wait_for(home: Home, name: str, seconds: float = 30.0) -> None:
    """Wait until a program announced itself in the home."""
    import time

    end = time.monotonic() + seconds
    while home.running(name) is None:
        if time.monotonic() > end:
            raise SystemExit(f"bench: error: the {name} did not start")
        time.sleep(0.05)


def report(samples: dict[tuple[str, int], list[Sample]], counts: tuple[int, ...]) -> int:
    """Print the table and the two promises; return the exit code."""

    def median(kind: str, count: int, pick: object) -> float:
        return statistics.median(pick(sample) for sample in samples[kind, count])  # type: ignore[operator]

    print(f"\n{'drives':>6} {'rate/s':>8} {'p50 ms':>7} {'p99 ms':>7} | {'echo/s':>7} {'p50 ms':>7} {'p99 ms':>7} |"
          f" {'rate':>5} {'p50':>5} {'p99':>5}  (ratios to the echo, medians)")  # fmt: skip
    for count in counts:
        row = [
            median(kind, count, pick)
            for kind in ("exchange", "echo")
            for pick in (lambda s: s.rate, lambda s: s.p50 * 1e3, lambda s: s.p99 * 1e3)
        ]
        pairs = list(zip(samples["exchange", count], samples["echo", count], strict=True))
        ratios = [
            statistics.median(pick(a) / pick(b) for a, b in pairs)
            for pick in (lambda s: s.rate, lambda s: s.p50, lambda s: s.p99)
        ]
        print(f"{count:6} {row[0]:8.0f} {row[1]:7.2f} {row[2]:7.2f} | {row[3]:7.0f} {row[4]:7.2f} {row[5]:7.2f} |"
              f" {ratios[0]:5.2f} {ratios[1]:5.2f} {ratios[2]:5.2f}")  # fmt: skip
    print(f"\n{'drives':>6}  CPU in microseconds for one exchange, and for one echo")
    for count in counts:
        words = [
            f"{name} {median(kind, count, lambda s, name=name: s.cpu_us[name]):.0f}"
            for kind, names in (
                ("exchange", ("service", "gateway", "drives")),
                ("echo", ("server", "client")),
            )
            for name in names
        ]
        print(f"{count:6}  " + ", ".join(words[:3]) + " | echo " + ", ".join(words[3:]))
    if 128 not in counts:
        return 0
    pairs = list(zip(samples["exchange", 128], samples["echo", 128], strict=True))
    cpu = [
        (a.cpu_us["service"] + a.cpu_us["gateway"]) / (b.cpu_us["server"] + b.cpu_us["client"])
        for a, b in pairs
    ]
    rate = [a.rate / b.rate for a, b in pairs]
    missed = False
    print()
    for what, values, aim, ok, lost in (
        ("CPU of service and gateway to the echo's, 128 drives", cpu, f"at most {AIM_CPU}",
         statistics.median(cpu) <= AIM_CPU, statistics.median(cpu) > AIM_CPU * SLACK),
        ("rate to the echo's, 128 drives, drives' arithmetic included", rate, f"at least {AIM_RATE}",
         statistics.median(rate) >= AIM_RATE, statistics.median(rate) < AIM_RATE / SLACK),
    ):  # fmt: skip
        verdict = "met" if ok else "MISSED"
        print(
            f"{what}: {statistics.median(values):.2f} [{min(values):.2f}..{max(values):.2f}]; aim {aim}: {verdict}"
        )
        missed = missed or lost
    return 1 if missed else 0


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    parser.add_argument("--drives", type=int, nargs="+", default=COUNTS, help="how many at once")
    options = parser.parse_args()
    counts = tuple(options.drives)
    samples: dict[tuple[str, int], list[Sample]] = {
        (kind, count): [] for kind in ("exchange", "echo") for count in counts
    }
    with tempfile.TemporaryDirectory(prefix="qekm-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "drives").mkdir()
        echo.make_certificates(folder)
        make_drive_authority(folder / "drives")
        needed = int(options.rounds * options.seconds * len(counts) * 3_000) + 4_096
        print(f"making a key manager with {needed} keys, and {max(counts)} drives", flush=True)
        _, pids, port, anchor = stack.enter_context(key_manager(folder, needed))
        # Two processes of drives: one could not keep two cores busy, and the drives are honest.
        drives = [
            stack.enter_context(
                child(HERE / "drives.py", str(port), anchor, folder / "drives", str(first), str(half))
            )
            for half in [(max(counts) + 1) // 2]
            for first in (0, half)
        ]
        server = stack.enter_context(child(HERE / "echo.py", "serve", folder))
        assert server.stdout is not None
        client = [
            stack.enter_context(child(HERE / "echo.py", "call", folder, server.stdout.readline().strip()))
        ]
        for process in drives:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
        for count in counts:  # warm: chains checked once, drives enrolled
            measure(drives, pids, "drives", count, 1.0)
            measure(client, {"server": server.pid}, "client", count, 0.5)
        for round_ in range(options.rounds):
            for count in counts:
                samples["exchange", count].append(measure(drives, pids, "drives", count, options.seconds))
                samples["echo", count].append(
                    measure(client, {"server": server.pid}, "client", count, options.seconds)
                )
            print(f"round {round_ + 1} of {options.rounds}", flush=True)
        return report(samples, counts)


def make_drive_authority(folder: Path) -> None:
    """Make a throw-away drive authority."""
    from time import time_ns

    from qekm_gateway.simulator.authority import make_authority
    from qekm_gateway.simulator.folder import dump_authority

    dump_authority(folder, make_authority(time_ns() // 1000))


if __name__ == "__main__":
    sys.exit(main())
