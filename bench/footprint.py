"""What a key manager takes of a machine, as the table of docs/requirements.md.

Memory is the resident set of each process, a moment after it is ready; disk is the store after its service
has stopped. A start is told in times of what `python -c "import grpc"` takes, both in processor seconds, so
that it says the same on every machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run import HERE, KEYS_A_SECOND, LOADS, child, cpu_seconds, hear, key_manager, tell

from qekm.client import connect
from qekm_gateway.simulator.authority import make_authority
from qekm_gateway.simulator.folder import dump_authority

SIZES = (1_024, 100_000)
DRIVES, SECONDS = 128, 10.0
SETTLED_S = 1.0
HEAD = ("with", "service", "gateway", "store", "backup", "start")


@dataclass(frozen=True)
class Row:
    """Figures of one size: MB, MB, MB, MB, times of an import of grpc; those that were not measured are 0."""

    title: str
    service: float
    gateway: float
    store: float = 0.0
    backup: float = 0.0
    start: float = 0.0

    def __str__(self) -> str:
        """Return it as a line of the page's table."""
        cells = [f"{value:,.1f}" if value else "" for value in (self.store, self.backup, self.start)]
        return " | ".join(
            ["", self.title, f"{self.service:,.0f}", f"{self.gateway:,.0f}", *cells, ""]
        ).strip()


def resident(pid: int) -> float:
    """Return the memory of a process that is in RAM, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


def size_of(path: Path) -> float:
    """Return what a file, or all files of a directory, take, in MB."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file()) / 1e6


def import_seconds() -> float:
    """Return the processor seconds of an interpreter that imports grpc."""
    code = "import grpc, resource; used = resource.getrusage(resource.RUSAGE_SELF); print(sum(used[:2]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def back_up(service: Any, folder: Path) -> float:
    """Have a backup made, and return its size."""
    from qekm.v1.backups_pb2 import CreateBackupRequest

    for _ in service.backups.CreateBackup(CreateBackupRequest()):
        pass
    return size_of(max(folder.glob("*.qbk"), key=lambda path: path.stat().st_mtime))


def of_keys(folder: Path, keys: int) -> Row:
    """Measure a key manager with so many keys that is idle."""
    (backups := folder / "backups").mkdir()
    places = (f"backup.target={backups}", "backup.sameDisk=true")
    with key_manager(folder, keys, *places) as (pids, _port, _anchor):
        start = cpu_seconds(pids["service"]) / import_seconds()
        time.sleep(SETTLED_S)
        service, gateway = resident(pids["service"]), resident(pids["gateway"])
        with connect(folder / "home") as client:
            backup = back_up(client, backups)
    return Row(f"{keys:,} keys", service, gateway, size_of(folder / "home" / "store"), backup, start)


def under_drives(folder: Path) -> tuple[Row, float]:
    """Measure one that serves drives as fast as it can; returns MB of the store a million records, too."""
    from qekm.v1.audit_pb2 import ListRecordsRequest

    home = folder / "home"
    share = DRIVES // LOADS
    with key_manager(folder, int(SECONDS * KEYS_A_SECOND)) as (pids, port, anchor), ExitStack() as stack:
        program = (HERE / "drives.py", str(port), anchor, folder / "drives")
        loads = [stack.enter_context(child(*program, str(first), str(share))) for first in (0, share)]
        for load in loads:
            hear(load)
        before = size_of(home / "store")
        for load in loads:
            tell(load, share, SECONDS)
        if not sum(int(hear(load)[0]) for load in loads):
            raise SystemExit("footprint: error: no drive was served")
        row = Row(f"{DRIVES} drives at work", resident(pids["service"]), resident(pids["gateway"]))
        with connect(home) as client:
            (last,) = client.audit.ListRecords(ListRecordsRequest(page_size=1, newest_first=True)).records
    return row, (size_of(home / "store") - before) / last.sequence * 1e6  # the journal is in the store by now


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="footprint", description=__doc__)
    parser.add_argument("--keys", type=int, nargs="*", default=SIZES, help="sizes to measure")
    parser.add_argument("--no-drives", action="store_true", help="without drives at work")
    options = parser.parse_args()
    print("|", " | ".join(HEAD), "|")
    print("|---" + "|---:" * (len(HEAD) - 1) + "|")
    with tempfile.TemporaryDirectory(prefix="qekm-footprint-") as name:
        for number, keys in enumerate([*options.keys, *([0] if not options.no_drives else [])]):
            folder = Path(name) / str(number)
            dump_authority(folder / "drives", make_authority(time.time_ns() // 1000))
            if keys:
                print(of_keys(folder, keys), flush=True)
            else:
                row, record = under_drives(folder)
                print(row, f"\nA million records of the trail, with what they are about: {record:,.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
