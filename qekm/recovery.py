"""The commands of `qekm-server` that deal with backups: prove one, restore one, adopt an old copy."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from qekm.errors import QekmError, exit_code
from qekm.hardening import end_with_parent, harden
from qekm.home import Home

_NICE = 19  # drives come first


def add_to(acts: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to the program's parser."""
    proving = acts.add_parser("backup-prove", parents=[common])  # the service's own: no help of it
    proving.add_argument("file", type=Path)
    proving.add_argument("--scratch", type=Path, required=True)
    proving.add_argument("--proof", action="store_true")
    proving.set_defaults(act=prove_backup)


def prove_backup(options: argparse.Namespace) -> int:
    """Prove a backup with what comes through the pipe on standard input: a key ring, or a person's proof."""
    end_with_parent()
    harden()
    os.nice(_NICE)
    from qekm.backup.child import told_error
    from qekm.backup.proving import prove

    def say(**said: Any) -> None:
        print(json.dumps(said), flush=True)

    def tell(step: str, done: int, total: int) -> None:
        say(step=step, done=done, total=total)

    try:
        options.scratch.mkdir(mode=0o700)
        open_ring = _proof_of(options.home) if options.proof else _ring()
        say(proved=prove(options.file, open_ring, options.scratch, tell).dump())
    except QekmError as error:
        say(**told_error(error))
        return exit_code(error)
    return 0


def _ring() -> Any:
    """Return what gives the ring that the service handed over."""
    from qekm.sealing.handing import take_over

    ring = take_over(sys.stdin.fileno())
    return lambda _cover: ring


def _proof_of(home: Path) -> Any:
    """Return what opens a slot of the backup with a person's proof."""
    from qekm.api.proofs import sealer_of
    from qekm.backup.opening import opener
    from qekm.config import Settings
    from qekm.sealing.handing import take_secret
    from qekm.unlocking import token_key
    from qekm.v1.slots_pb2 import Proof

    place = token_key(Settings.load(Home.find(home).config))
    with take_secret(sys.stdin.fileno()) as secret:
        sealer = sealer_of(Proof.FromString(secret.reveal()), place)
    return opener(sealer)
