"""Where a key manager lives on disk, and which of its processes are running. Standard library only."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qekm.errors import NotInitialised, StoreFailed

DEFAULT = Path("/var/lib/qekm")

Announce = Callable[[Mapping[str, int]], None]
"""Tells the ports of a running process, in place of those told before. StoreFailed: those are told still."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a live process told of itself: its pid, its version and the ports it really listens on."""

    pid: int
    version: str
    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one key manager: names only, nothing is touched until a method says so."""

    path: Path

    @classmethod
    def find(cls, option: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Home:
        """Return the home that `--home` names, else QEKM_HOME, else /var/lib/qekm; absolute."""
        return cls(Path(option or environ.get("QEKM_HOME") or DEFAULT).absolute())

    @property
    def config(self) -> Path:
        """Settings; written last by init, so its presence means that the home is complete."""
        return self.path / "KeyManagerConfig.properties"

    @property
    def client_config(self) -> Path:
        """Which key manager a home without a store talks to; init writes it to be copied to such homes."""
        return self.path / "ClientKeyManagerConfig.properties"

    @property
    def is_client(self) -> bool:
        """Whether only certificates are here, and the key manager is elsewhere."""
        return self.client_config.is_file() and not self.store.exists()

    @property
    def takeover(self) -> Path:
        """What init took over from an installation of the original, if it did."""
        return self.path / "takeover.txt"

    @property
    def root_key(self) -> Path:
        """Key file that opens the root key's slot, unless another one was named."""
        return self.path / "root.key"

    @property
    def store_directory(self) -> Path:
        """Directory of the database and its lock."""
        return self.path / "store"

    @property
    def store(self) -> Path:
        """The database."""
        return self.store_directory / "qekm.db"

    @property
    def anchor(self) -> Path:
        """File that tells how far the store has been, unless keystore.anchor names another one."""
        return self.path / "anchor"

    @property
    def pki(self) -> Path:
        """Directory of certificates and their keys."""
        return self.path / "pki"

    @property
    def trust(self) -> Path:
        """All certificate authorities in force, PEM."""
        return self.pki / "trust.pem"

    @property
    def gateway_trust(self) -> Path:
        """As trust, for a gateway that sees a part of this home only: deploy/systemd/gateway-home made it."""
        return self.path / "gateway" / "pki" / "trust.pem"

    @property
    def audit_key(self) -> Path:
        """Public key that signs the audit trail, PEM: beside the store, so that a check needs no secret."""
        return self.pki / "audit.pem"

    @property
    def pending(self) -> Path:
        """Journal of a restore that puts another home in the place of this one; there only while it does."""
        return self.path / "restore.pending"

    @property
    def run(self) -> Path:
        """Directory of what is true only while a process runs."""
        return self.path / "run"

    @property
    def stdout_log(self) -> Path:
        """Standard output of the processes that `qekm server start` started."""
        return self.path / "keymanager" / "native_stdout.log"

    @property
    def stderr_log(self) -> Path:
        """Standard error of the processes that `qekm server start` started."""
        return self.path / "keymanager" / "native_stderr.log"

    def certificate(self, name: str) -> Path:
        """Return the leaf certificate of `name` (server, gateway, administrator …), PEM."""
        return self.pki / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Return the private key of `name`, PEM."""
        return self.pki / f"{name}.key"

    def run_file(self, process: str) -> Path:
        """Return the file in which `process` (server or gateway) tells its pid and ports."""
        return self.run / f"{process}.json"

    def session_file(self, identity: str) -> Path:
        """Return the file that keeps the session of `identity` between two commands."""
        return self.run / f"session-{identity}"

    def require(self) -> None:
        """Raise NotInitialised unless a key manager was completely made here."""
        if self.pending.exists():
            hint = "finish it with: qekm-server restore --replace"
            raise NotInitialised(f"a restore was cut off in {self.path}", hint=hint, home=str(self.path))
        if not (self.config.is_file() and self.store.is_file()):
            raise NotInitialised(f"there is no key manager in {self.path}", home=str(self.path))

    @contextmanager
    def announced(self, process: str, version: str, ports: Mapping[str, int]) -> Iterator[Announce]:
        """Tell pid, version and ports in the run file while the block lasts; what is given tells other ports.

        The file is complete from the moment it is seen (written aside, then renamed) and the open
        file carries an flock: after a kill the file stays but the lock is gone, so `running` never
        takes a stranger that got the same pid for our process. StoreFailed if it cannot be written.
        """
        handle = -1

        def announce(ports: Mapping[str, int]) -> None:
            nonlocal handle
            told = {"pid": os.getpid(), "version": version, "ports": dict(ports)}
            before = handle
            try:
                handle = self._announce(process, json.dumps(told).encode())
            except OSError as error:
                raise StoreFailed(f"cannot write {self.run_file(process)}: {error.strerror}") from None
            if before >= 0:
                os.close(before)  # after the new file is in place: one of both is locked at any moment

        announce(ports)
        try:
            yield announce
        finally:
            if self.running(process, own=os.getpid()):
                self.run_file(process).unlink(missing_ok=True)
            os.close(handle)

    def _announce(self, process: str, text: bytes) -> int:
        """Put a locked run file in place and return the descriptor that holds the lock; OSError.

        It is written under another name first, always the same: what a kill leaves of it the next one uses.
        """
        self.run.mkdir(mode=0o700, exist_ok=True)
        path, aside = self.run_file(process), self.run / f".{process}.json"
        handle = _opened(aside)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.write(handle, text)
            aside.rename(path)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def running(self, process: str, own: int = 0) -> Running | None:
        """Return what `process` announced, or None if it is not alive; `own` restricts it to that pid."""
        path = self.run_file(process)
        try:
            with path.open("rb") as file:
                if _is_free(file.fileno()):
                    replaced = path.stat().st_ino != os.fstat(file.fileno()).st_ino
                    return self.running(process, own) if replaced else None
                told = json.loads(file.read())
            ports = {str(name): int(port) for name, port in dict(told["ports"]).items()}
            found = Running(int(told["pid"]), str(told.get("version", "")), ports)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None
        if found.pid < 1 or (process == "server" and "grpc" not in ports):
            return None
        return found if own in (0, found.pid) else None


def _opened(path: Path) -> int:
    """Open a file, or one in the place of another user's, which may have been left here; OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except PermissionError:
        path.unlink()
        return os.open(path, flags, 0o600)


def _is_free(handle: int) -> bool:
    """Tell whether nobody holds the lock on an open file; the lock taken to find out ends with it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
