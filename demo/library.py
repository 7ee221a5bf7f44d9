"""The demonstration's tape library: `qekm-simulator`, one process per drive and task."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiding import Namespace
from stage import DemoFailed, Stage, check, say


class Library:
    """Drives in a folder, and the key manager that they are sent to (server: HOST:PORT, set when it runs)."""

    def __init__(self, stage: Stage) -> None:
        self.server = ""
        self._stage = stage

    def write(
        self, cartridge: Path, volser: str, serial: str, source: Path, left_out: Sequence[str], *more: str
    ) -> dict[str, Any]:
        """Have a drive write what tar makes of the source; return what it told."""
        shown = f"qekm-simulator write --drive {serial} --cartridge {cartridge.name} {' '.join(more)}"
        say(f"$ tar -c … | {shown}")
        words = ["write", *self._drive(serial), "--cartridge", str(cartridge), "--volser", volser, *more]
        pack = ["tar", "-c", *(f"--exclude={name}" for name in left_out), "-C", str(source), "."]
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as tar:
            done = subprocess.run(
                self._command(words),
                cwd=self._stage.folder,
                env=self._stage.environment,
                stdin=tar.stdout,
                capture_output=True,
                check=False,
            )
        if done.returncode or tar.returncode:
            said = done.stderr.decode()
            raise DemoFailed(f"writing ended with {done.returncode}, tar with {tar.returncode}: {said}")
        told: dict[str, Any] = json.loads(done.stdout)
        say(f"{told['bytes']:,} bytes are on {cartridge.name}")
        return told

    def read(self, cartridge: Path, serial: str, target: Path, hidden: Namespace | None) -> dict[str, Any]:
        """Have a drive read into tar, which unpacks to target; return what the drive told.

        With a namespace the drive is a process that sees nothing of the source, which it must report.
        """
        say(f"$ qekm-simulator read --drive {serial} --cartridge {cartridge.name} | tar -x")
        words = ["read", *self._drive(serial), "--cartridge", str(cartridge)]
        with subprocess.Popen(
            self._command(words) if hidden is None else hidden.command(words),
            cwd=self._stage.folder,
            env=self._stage.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as drive:
            unpack = ["tar", "-x", "-C", str(target)]
            tar = subprocess.run(unpack, stdin=drive.stdout, check=False)
            said = drive.stderr.read().decode() if drive.stderr else ""
        if drive.returncode or tar.returncode:
            raise DemoFailed(f"reading ended with {drive.returncode}, tar with {tar.returncode}: {said}")
        *lines, last = said.splitlines()
        if hidden is not None:
            check(any(" sees 0 files " in line for line in lines), lines[0])
        told: dict[str, Any] = json.loads(last)
        return told

    def ask(self, command: str, serial: str, *more: str, fails: bool = False) -> str:
        """Run another command of a drive; return what it said."""
        say(f"$ qekm-simulator {command} --drive {serial} {' '.join(more)}")
        words = ("qekm-simulator", command, *self._drive(serial), *more)
        said = self._stage.run(*words, show=False, fails=fails)
        for line in said.splitlines():
            say(line)
        return said

    def _command(self, words: Sequence[str]) -> list[str]:
        return [str(self._stage.programs / "qekm-simulator"), *words]

    def _drive(self, serial: str) -> list[str]:
        """Return the arguments that tell a drive who it is, whom to ask and whom to believe."""
        folder = str(self._stage.folder / "library")
        trust = str(self._stage.home / "pki" / "trust.pem")
        return ["--library", folder, "--drive", serial, "--server", self.server, "--anchor-ca", trust]


def copy_away(source: Path, target: Path, left_out: Sequence[str]) -> None:
    """Copy a tree, so that the copy can be removed before a drive reads."""
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
