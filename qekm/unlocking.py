"""What opens a store: a key file, a token, or a password; secrets come from files and descriptors only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qekm.configuration.settings import Settings
from qekm.errors import BadConfiguration, BadPassword, UnknownSlot
from qekm.home import Home
from qekm.sealing import KeyFileSealer, KeyRing, PasswordSealer, Sealer, TokenKey, TokenSealer, read_private
from qekm.secret import Secret
from qekm.slots import opened
from qekm.store import Locked

_LONGEST = 4_096 + 2  # bytes: 1,024 characters of UTF-8 and a line end
_CREDENTIAL = "credential:"


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


def sealer_of(
    home: Home, settings: Settings, means: Means, environ: Mapping[str, str] = os.environ
) -> Sealer:
    """Return what opens a store of these settings; BadConfiguration, BadPassword say what to give instead."""
    kind = settings["keystore.slot"]
    if kind == PasswordSealer.kind:
        if not means.password_named:
            hint = "name it with --password-file or --password-fd"
            raise BadPassword("the keystore is opened by a password, and none was given", hint=hint)
        return PasswordSealer(means.password())
    what = "a key file" if kind == KeyFileSealer.kind else "a PKCS#11 token"
    if means.password_named:
        raise BadConfiguration(f"the keystore is opened by {what} (keystore.slot), not by a password")
    credentials = credentials_of(environ)
    if kind == KeyFileSealer.kind:
        path = means.key_file or located(settings["keystore.keyFile"], home, credentials)
        return KeyFileSealer(path, credentials=credentials)
    if means.key_file is not None:
        raise BadConfiguration(f"the keystore is opened by {what} (keystore.slot), not by a key file")
    pin = _pin(located(settings["keystore.pkcs11.pinFile"], home, credentials), credentials)
    return TokenSealer(token_key(settings), pin)


def token_key(settings: Settings) -> TokenKey:
    """Return where the key of a token is that the settings name."""
    return TokenKey(*(settings[f"keystore.pkcs11.{part}"] for part in ("module", "token", "key")))


def credentials_of(environ: Mapping[str, str]) -> Path | None:
    """Return the directory in which systemd passes this service's credentials (systemd.exec(5))."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) if directory else None


def located(text: str, home: Home, credentials: Path | None) -> Path:
    """Return the path that a property names; BadConfiguration for a credential that cannot be one."""
    name = text.removeprefix(_CREDENTIAL)
    if name == text:
        return home.path / text
    if name in ("", ".", "..") or "/" in name:
        raise BadConfiguration(f"{text} names no credential", hint="a credential's name is a plain file name")
    if credentials is None:
        hint = f"pass it with LoadCredential={name}:PATH in the unit, and start that"
        raise BadConfiguration(f"{text} is named, and systemd passed no credentials", hint=hint)
    return credentials / name


def _pin(path: Path, credentials: Path | None) -> Secret:
    """Read a token's PIN, without its line end."""
    option = "keystore.pkcs11.pinFile"
    content = read_private(path, _LONGEST, title="PIN file", option=option, credentials=credentials)
    if len(content) > _LONGEST:
        raise BadConfiguration(f"the PIN file {path} has more than {_LONGEST:,} bytes", file=str(path))
    return Secret(content.removesuffix(b"\n").removesuffix(b"\r"))


def unlock(sealer: Sealer) -> Callable[[Locked], KeyRing]:
    """Return what opens a locked store with this sealer.

    It raises BadConfiguration if the store has no slot of this kind, BadPassword, StoreDamaged.
    """

    def open_(locked: Locked) -> KeyRing:
        with root_of(locked.slots, sealer) as root:
            return KeyRing(root, locked.estate_id, versions=locked.versions)

    return open_


def root_of(slots: Mapping[str, bytes], sealer: Sealer) -> Secret:
    """Return the root key from the first slot that a sealer opens; errors as `unlock`."""
    try:
        return opened(slots, sealer)[1]
    except UnknownSlot as error:
        raise BadConfiguration(f"{error.message} (keystore.slot)") from None
