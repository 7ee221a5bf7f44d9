"""The file that keeps a session between two commands: of one identity, good for one address, mode 0600."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import typer

from qekm_cli.connection import address_of, home_of, identity_of


@dataclass(frozen=True, slots=True)
class SessionFile:
    """Where the session of an identity is kept, and the address that it is for."""

    path: Path
    identity: str
    address: str

    @classmethod
    def of(cls, context: typer.Context) -> SessionFile:
        """Return the file that the options of this run mean; nothing is read yet."""
        identity = identity_of(context)
        return cls(home_of(context).session_file(identity), identity, address_of(context))

    def read(self) -> bytes | None:
        """Return the session that is kept, None if there is none for this address; one that ended goes."""
        _, end_us = self._told()
        if 0 < end_us <= time.time_ns() // 1000:
            self.forget()
        return self.peek()

    def peek(self) -> bytes | None:
        """Return the same and leave the file as it is."""
        session, end_us = self._told()
        return session if end_us > time.time_ns() // 1000 else None

    def _told(self) -> tuple[bytes | None, int]:
        """Return the session, None if it is for another address, and its end; 0 if nothing is told."""
        try:
            told = json.loads(self.path.read_bytes())
            session, end_us = bytes.fromhex(told["session"]), int(told["expire_time_us"])
            return session if told["address"] == self.address else None, end_us
        except (OSError, ValueError, KeyError, TypeError):
            return None, 0

    def keep(self, session: bytes, expire_time_us: int) -> None:
        """Write a session, whole or not at all; without a session, remove the file. OSError."""
        if not session:
            self.forget()
            return
        told = {"address": self.address, "session": session.hex(), "expire_time_us": expire_time_us}
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(told, file)
            Path(name).rename(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def forget(self) -> None:
        """Remove the file. OSError."""
        self.path.unlink(missing_ok=True)
