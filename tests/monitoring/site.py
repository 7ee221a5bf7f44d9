"""Two real servers, a gateway with a drive, and a Prometheus that scrapes the first one and the gateway."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.field_mask_pb2 import FieldMask

from qekm.clock import now_us
from qekm.v1.drives_pb2 import CreateAuthorityRequest
from qekm.v1.groups_pb2 import ON_EXHAUSTION_REFUSE, Group, UpdateGroupRequest
from qekm_gateway.simulator.authority import Authority, make_authority, make_drive
from tests.monitoring.prometheus import Prometheus
from tests.ports import free_port
from tests.system.command import run_qekm
from tests.system.exchanging import SERIAL, Place
from tests.system.joining import PASSWORD, Inviting
from tests.system.processes import Estate

KEYS = 12  # two are left when a pool of them is low


@dataclass
class Site:
    """What there is to be watched, and harmed."""

    place: Place
    peer: Estate
    backups: Path
    ports: dict[str, int]  # of the metrics, by job
    prometheus: Prometheus
    written: int = 0
    refused: int = 0

    def qekm(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command on the first server, and return what it said."""
        return run_qekm(self.place.estate.home, *map(str, words), timeout_s=120)

    def write(self, count: int) -> None:
        """Have the drive write so many new cartridges, and read each again."""
        for _ in range(count):
            self.written += 1
            cartridge, _ = self.place.write(f"T{self.written:05}", b"content")
            self.place.read(cartridge)

    def write_as_a_stranger(self) -> None:
        """Have a drive that nobody vouches for ask for a key; CheckCondition."""
        drive = make_drive(make_authority(now_us()), SERIAL, now_us())
        self.refused += 1
        replace(self.place, drive=drive).write(f"X{self.refused:05}", b"content")

    def told(self, job: str) -> str:
        """Return what Prometheus is told by a job."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[job]}/metrics", timeout=20) as answer:
            return str(answer.read().decode())


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Make all of it; drives are at work, a backup is made."""
    ports = {"qekm": free_port(), "qekm-gateway": free_port()}
    backups = folder / "backups"
    backups.mkdir()
    (folder / "prometheus").mkdir()
    (folder / "password").write_text(f"{PASSWORD}\n")
    properties = {
        "twoPerson": "off",
        "backup__target": str(backups),
        "backup__sameDisk": "true",
        "metrics__port": str(ports["qekm"]),
        "gateway__metrics__port": str(ports["qekm-gateway"]),
    }
    words = ("--host", "127.0.0.1", "--password-file", str(folder / "password"))
    with ExitStack() as stack:
        first = Estate.make(folder / "a", *words, keys=KEYS, **properties)
        stack.callback(first.close)
        first.start()
        second = _joined(first, folder)
        stack.callback(second.close)
        authority = make_authority(now_us())
        place = Place("a", first, folder, make_drive(authority, SERIAL, now_us()))
        prometheus = Prometheus(folder / "prometheus", ports)
        stack.callback(prometheus.close)
        made = Site(place, second, backups, ports, prometheus)
        _prepare(made, authority)
        yield made


def _joined(first: Estate, folder: Path) -> Estate:
    inviting = Inviting(first, folder)
    with inviting.joining(*inviting.invite("b")) as joining:
        done = inviting.accept("b", joining.wait_waiting())
        assert done.returncode == 0, done.stderr
        assert joining.wait() == 0, joining.said()
    return Estate(folder / "b").start(gateway=False)


def _prepare(made: Site, authority: Authority) -> None:
    """Have no more keys made by themselves, and drives known."""
    estate = made.place.estate
    group = Group(name="default", on_exhaustion=ON_EXHAUSTION_REFUSE)
    with estate.client() as client:
        der = authority.certificate.public_bytes(Encoding.DER)
        client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        request = UpdateGroupRequest(group=group, update_mask=FieldMask(paths=["on_exhaustion"]))
        client.groups.UpdateGroup(request)
    estate.wait_gateway()
    done = made.qekm("backup", "create")
    assert done.returncode == 0, done.stderr
