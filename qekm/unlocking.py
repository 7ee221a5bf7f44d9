"""What opens a store: the key file, or a password from a file or descriptor; no argument, no variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qekm.errors import BadConfiguration, BadPassword
from qekm.home import Home
from qekm.sealing import KeyFileSealer, KeyRing, PasswordSealer, Sealer
from qekm.secret import Secret

_LONGEST = 4_096 + 2  # bytes: 1,024 characters of UTF-8 and a line end
PASSWORD, KEY_FILE = "password", "key-file"


@dataclass(frozen=True, slots=True)
class Means:
    """What the command line named to open the store with; at most one of them."""

    key_file: Path | None = None
    password_file: Path | None = None
    password_fd: int | None = None

    @property
    def password_named(self) -> bool:
        """Return whether a password was named."""
        return self.password_file is not None or self.password_fd is not None

    def password(self) -> Secret:
        """Read the password, without its line end; BadPassword."""
        try:
            if self.password_file is not None:
                handle = os.open(self.password_file, os.O_RDONLY | os.O_CLOEXEC)
            else:
                assert self.password_fd is not None
                handle = self.password_fd
            content = b""
            while len(content) <= _LONGEST and (part := os.read(handle, _LONGEST)):
                content += part
            os.close(handle)
        except OSError as error:
            source = self.password_file or f"descriptor {self.password_fd}"
            raise BadPassword(f"the password cannot be read from {source}: {error.strerror}") from None
        return Secret(content.removesuffix(b"\n").removesuffix(b"\r"))


def sealer_of(home: Home, kind: str, key_file: str, means: Means) -> Sealer:
    """Return what opens a store of this slot; BadConfiguration, BadPassword say what to give instead.

    kind, key_file: keystore.slot and keystore.keyFile of the settings.
    """
    if kind == PASSWORD:
        if not means.password_named:
            hint = "name it with --password-file or --password-fd"
            raise BadPassword("the keystore is opened by a password, and none was given", hint=hint)
        return PasswordSealer(means.password())
    if means.password_named:
        raise BadConfiguration("the keystore is opened by a key file (keystore.slot), not by a password")
    return KeyFileSealer(means.key_file or home.path / key_file)


def unlock(slots: Mapping[str, bytes], sealer: Sealer, estate_id: bytes) -> KeyRing:
    """Return the key ring of a store; BadConfiguration if it has no such slot, BadPassword, StoreDamaged."""
    slot = slots.get(sealer.kind)
    if slot is None:
        has = ", ".join(sorted(slots))
        raise BadConfiguration(f"the store has no slot {sealer.kind} (keystore.slot); it has {has}")
    with sealer.unseal(slot) as root:
        return KeyRing(root, estate_id)
