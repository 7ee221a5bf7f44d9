"""What a person names on a command line, or has handed through a pipe, to open a store or a backup with."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from qekm.errors import BadConfiguration, BadFile
from qekm.properties import PROPERTIES
from qekm.sealing import (
    KeyFileSealer,
    PasswordSealer,
    Sealer,
    SharesSealer,
    TokenKey,
    TokenSealer,
    read_private,
    read_shares,
)
from qekm.sealing.handing import take_secret
from qekm.secret import Secret
from qekm.unlocking import Means

_LONGEST_PIN = 4_096
_LONGEST_SHARES = 65_537  # one byte more than a file of shares may have


def sealer_of_options(options: argparse.Namespace, place: TokenKey) -> Sealer | None:
    """Return what the options name (recovery.py adds them), None if nothing; the errors are the sealers'."""
    if options.password_file is not None or options.password_fd is not None:
        return PasswordSealer(Means(None, options.password_file, options.password_fd).password())
    if options.key_file is not None:
        return KeyFileSealer(options.key_file)
    if options.shares_file:
        return SharesSealer([share for file in options.shares_file for share in read_shares(_read(file))])
    if options.pin_file is not None:
        pin = read_private(options.pin_file, _LONGEST_PIN, title="PIN file", option="--pin-file")
        return TokenSealer(place, Secret(pin.removesuffix(b"\n").removesuffix(b"\r")))
    if options.proof_fd is not None:
        return sealer_from_pipe(options.proof_fd, place)
    return None


def sealer_from_pipe(descriptor: int, place: TokenKey) -> Sealer:
    """Return what a Proof message that comes through a pipe opens; BadConfiguration, and as the sealers."""
    from google.protobuf.message import DecodeError

    from qekm.api.proofs import sealer_of
    from qekm.v1.slots_pb2 import Proof

    with take_secret(descriptor) as secret:
        try:
            proof = Proof.FromString(secret.reveal())
        except DecodeError:
            raise BadConfiguration("no proof came through the pipe") from None
    return sealer_of(proof, place)


def token_of(properties: Mapping[str, str]) -> TokenKey:
    """Return where a token's key is by properties of a command line; the others have their defaults."""
    names = [f"keystore.pkcs11.{part}" for part in ("module", "token", "key")]
    return TokenKey(*(properties.get(name, PROPERTIES[name].default) for name in names))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_SHARES)
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror}", file=str(path)) from None
