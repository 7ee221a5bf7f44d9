"""What the demonstration stands on: a folder, programs that it starts and surely ends, and what it says."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

START_SECONDS, STOP_SECONDS, COMMAND_SECONDS = 30.0, 15.0, 120.0
_PR_SET_PDEATHSIG = 1  # prctl(2): a daemon must not outlive a demonstration that is killed


class DemoFailed(Exception):
    """Something was not as it must be; the text says what."""


class Stage:
    """A temporary folder and the processes in it; a context manager that leaves neither behind."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="qekm-demo-"))
        self.home = self.folder / "home"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        # A second Ctrl-C must not cut this short: it would leave what it is there to remove.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self.stop()
        if isinstance(problem, Exception):
            self._show_logs()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of every program: our home, free ports, nothing of the caller's own installation."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QEKM_")}
        ports = ("grpc_port", "health_port", "metrics_port", "TransportListener_tcp_port")
        ports += ("TransportListener_ssl_port", "gateway_metrics_port")
        return kept | {"QEKM_HOME": str(self.home)} | {f"QEKM_PROPERTY_{name}": "0" for name in ports}

    def run(self, *words: str, show: bool = True, fails: bool = False) -> str:
        """Run one of our programs to its end, as a person would type it; return what it said.

        DemoFailed if it does not succeed, or succeeds though it must fail.
        """
        self._show(words, show)
        done = subprocess.run(
            self._command(words),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if show or (done.returncode == 0) is fails:
            for line in done.stdout.splitlines():
                print(f"    {self._shorten(line)}")
        if (done.returncode == 0) is fails:
            how = "succeeded, though it must fail" if fails else f"ended with {done.returncode}"
            raise DemoFailed(f"{words[0]} {how}")
        return done.stdout

    def succeeds(self, *words: str) -> bool:
        """Run one of our programs silently; tell whether it succeeded."""
        done = subprocess.run(
            self._command(words),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return done.returncode == 0

    def run_visibly(self, *words: str) -> None:
        """Run one of our programs with this terminal as its own, so that its progress bar shows."""
        self._show(words, True)
        done = subprocess.run(self._command(words), env=self.environment, cwd=self.folder, check=False)
        if done.returncode:
            raise DemoFailed(f"{words[0]} ended with {done.returncode}")

    def start(self, name: str, *words: str) -> dict[str, int]:
        """Start a daemon and wait until it tells its ports in HOME/run/NAME.json; return them."""
        self._show(words, True)
        with (self.folder / f"{name}.log").open("ab") as log:
            daemon = self._daemons[name] = subprocess.Popen(
                self._command(words),
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        told = self.home / "run" / f"{name}.json"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and daemon.poll() is None:
            if (found := _read_json(told)) and found["pid"] == daemon.pid:
                ports: dict[str, int] = found["ports"]
                say(f"running, process {daemon.pid}, ports {ports}")
                return ports
            time.sleep(0.05)
        raise DemoFailed(f"the {name} did not start:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End every daemon: SIGTERM, and SIGKILL for one that does not end in time."""
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def stop_in_order(self) -> None:
        """End every daemon as an administrator would, and insist on exit code 0."""
        daemons = dict(self._daemons)
        self.stop()
        for name, daemon in daemons.items():
            check(daemon.returncode == 0, f"the {name} ended in order (exit code {daemon.returncode})")

    def _show_logs(self) -> None:
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-20:]
            print("\n".join([f"\nThe end of {log.name}:", *lines]))

    def _command(self, words: Sequence[str]) -> list[str]:
        return [str(self.programs / words[0]), *words[1:]]

    def _show(self, words: Sequence[str], show: bool) -> None:
        if show:
            print(f"  $ {self._shorten(' '.join(words))}", flush=True)

    def _shorten(self, text: str) -> str:
        return text.replace(f"{self.folder}/", "").replace(str(self.folder), ".")


def act(number: int, title: str) -> None:
    """Announce what comes."""
    print(f"\n{number}. {title}", flush=True)


def say(text: str) -> None:
    """Tell the person watching one line."""
    print(f"    {text}", flush=True)


def check(holds: bool, text: str) -> None:
    """Show that something holds; DemoFailed if it does not."""
    if not holds:
        raise DemoFailed(f"NOT TRUE: {text}")
    print(f"  + {text}", flush=True)


def set_property(path: Path, name: str, value: str) -> None:
    """Change one line of a properties file, as an editor would; DemoFailed if the property is not in it."""
    text, count = re.subn(rf"(?m)^{re.escape(name)}\s*=.*$", f"{name}={value}", path.read_text())
    if count != 1:
        raise DemoFailed(f"{path.name} has {count} lines for {name}")
    path.write_text(text)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found
