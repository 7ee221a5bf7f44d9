"""A machine of Debian's, empty but for systemd and Python: made by debootstrap, booted by systemd-nspawn."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import wait_for

SUITE = "bookworm"  # whose Python is 3.11, for which the package is
PROGRAMS = ("debootstrap", "systemd-nspawn", "nsenter", "apt-get")
INCLUDED = "systemd,systemd-sysv,python3"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


class UnavailableError(Exception):
    """Why there can be no such machine here."""


def bootstrap(directory: Path) -> None:
    """Make the tree of a fresh system from where this machine has its own packages; UnavailableError."""
    if os.geteuid() != 0:
        raise UnavailableError("only root can make and boot one")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise UnavailableError(f"not installed: {', '.join(missing)}")
    command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, str(directory), _mirror()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, env=_environment()
    )
    if done.returncode:
        raise UnavailableError(f"debootstrap: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    shutil.rmtree(directory / "var" / "cache" / "apt", ignore_errors=True)


def _mirror() -> str:
    """Return where apt has the suite from here."""
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        f"Codename: {SUITE}",
        "Identifier: Packages",
    ]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.split()
    if not told:
        raise UnavailableError(f"apt knows no place of {SUITE} here")
    return told[0]


def _environment() -> dict[str, str]:
    """Return the environment with the proxies that apt uses, for debootstrap asks no apt."""
    wanted = dict(os.environ)
    for scheme in ("http", "https"):
        command = ["apt-config", "shell", "PROXY", f"Acquire::{scheme}::Proxy"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
        if "'" in told:
            wanted[f"{scheme}_proxy"] = told.split("'")[1]
    return wanted


class Machine:
    """A booted tree: nothing of it is reached but by `run`, and it has no network but its own."""

    def __init__(self, tree: Path, nspawn: int) -> None:
        self.tree, self._nspawn = tree, nspawn

    def try_(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it, as root, to its end."""
        leader = str(_leader(self._nspawn))  # the first child is another one until the machine is set up
        inside = ["nsenter", "-t", leader, "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--", *words]
        return subprocess.run(
            inside,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            stdin=subprocess.DEVNULL,
            env=ENVIRONMENT | environ,
        )

    def run(self, *words: str, **environ: str) -> str:
        """Return what a program says that ends well, on both outputs."""
        done = self.try_(*words, **environ)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def shown(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()


@contextmanager
def booted(tree: Path) -> Iterator[Machine]:
    """Boot a tree for a block, and leave nothing of it behind; UnavailableError."""
    log = tree.with_name(f"{tree.name}.log")
    command = ["systemd-nspawn", "--boot", "--register=no", "--keep-unit", "--private-network"]
    with log.open("wb") as output:
        nspawn = subprocess.Popen(
            [*command, "--console=read-only", "--directory", str(tree), "--machine", f"qekm-{os.getpid()}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: nspawn.poll() is not None or _leader(nspawn.pid), "nothing was booted")
        if nspawn.poll() is not None:
            raise UnavailableError(f"systemd-nspawn: {log.read_text(errors='replace').strip()[-300:]}")
        machine = Machine(tree, nspawn.pid)
        ready = ("running", "degraded")
        wait_for(
            lambda: machine.try_("systemctl", "is-system-running").stdout.strip() in ready,
            "it never was up",
        )
        yield machine
    finally:
        with suppress(ProcessLookupError, TypeError):
            os.kill(_leader(nspawn.pid) or nspawn.pid, signal.SIGKILL)
        nspawn.wait(30)


def _leader(pid: int) -> int:
    """Return the first process inside, as it is numbered outside; 0 while there is none."""
    children = (
        Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if Path(f"/proc/{pid}").exists() else []
    )
    return int(children[0]) if children else 0
