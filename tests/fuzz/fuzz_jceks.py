"""Fuzz the reader of Java's keystores with atheris: `python tests/fuzz/fuzz_jceks.py --runs N [--seeded]`.

Ends with 0 when nothing was found. `--seeded` is the negative control: the reader is followed by a careless
program with a known bug, and the run must end non-zero.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["qekm.interchange"]):
    from qekm.errors import BadArgument, BadFile, BadPassword
    from qekm.interchange import jceks
    from qekm.interchange.jceks.cursor import Cursor
    from qekm.interchange.jceks.sealed import read_key, read_sealed, write_key, write_sealed

from qekm.secret import Secret
from tests.qekm.interchange.jceks import making

FILE, SIGNED, SEALED, KEY = range(4)  # what the input is: the low bits of its first byte
PASSWORD = making.secret()
AFFORDABLE = 20  # iterations


def seeds() -> Iterator[bytes]:
    """Give inputs of every kind that are in order."""
    plains = [making.ibm_key(bytes(32)), making.key_rep("HmacSHA256", bytes(64))]
    key = jceks.SecretKey("key1", 1, "AES", Secret(bytes(32)))
    pair = jceks.PrivateKey(
        "pair", 2, Secret(bytes.fromhex("300e020100300506032b65700402abcd")), (b"leaf", b"ca")
    )
    root = jceks.TrustedCertificate("root", 3, b"der")
    store = jceks.write([key, pair, root], PASSWORD, iterations=1, random_bytes=bytes)
    for plain in plains:
        yield bytes((KEY,)) + plain
        yield bytes((SEALED,)) + making.sealed(plain)
        yield bytes((SIGNED,)) + making.store(making.secret_entry("key", making.sealed(plain)))[:-20]
    yield bytes((SIGNED,)) + making.store(making.certificate_entry("root", b"der", None), version=1)[:-20]
    yield bytes((SIGNED,)) + store[:-20]
    yield bytes((FILE,)) + store


def check(data: bytes) -> tuple[jceks.Entry, ...]:
    """Hold the reader to its laws for these bytes; anything but a refusal of ours is a finding."""
    how, data = (data[0] & 3 if data else FILE), data[1:]
    try:
        if how == KEY:
            _check_key(data)
        elif how == SEALED:
            _check_sealed(data)
        else:
            return _check_store(making.signed(data) if how == SIGNED else data)
    except (BadFile, BadPassword) as refusal:
        assert refusal.message
    return ()


def _check_key(data: bytes) -> None:
    found = read_key(data, "the key")
    again = read_key(write_key(found), "the key")
    assert (again.algorithm, again.material.reveal()) == (found.algorithm, found.material.reveal())


def _check_sealed(data: bytes) -> None:
    found = read_sealed(Cursor(data, "the store"))
    assert read_sealed(Cursor(write_sealed(found), "the store")) == found


def _check_store(data: bytes) -> tuple[jceks.Entry, ...]:
    entries = jceks.parse(data, PASSWORD)
    try:
        written = jceks.serialize(entries, PASSWORD)
    except BadArgument:
        assert len({entry.alias.lower() for entry in entries}) < len(entries)
    else:
        again = jceks.parse(written, PASSWORD)
        assert [entry.created_ms for entry in again] == [entry.created_ms for entry in entries]
        assert [entry.alias for entry in again] == [entry.alias.lower() for entry in entries]
    for entry in entries:
        if isinstance(entry, jceks.ProtectedKey):
            _check_protected(entry)
    return entries


def _check_protected(entry: jceks.ProtectedKey) -> None:
    try:
        if entry.work().iterations <= AFFORDABLE:
            jceks.unprotect(entry, PASSWORD)
    except (BadFile, BadPassword) as refusal:
        assert refusal.message


def check_seeded(data: bytes) -> None:
    """Do what check does, then tell the ages of the entries as a careless program would."""
    for entry in check(data):
        _year(entry.created_ms)


def _year(created_ms: int) -> int:
    """Return a year; the bug: a time in a file may be any number."""
    return datetime.fromtimestamp(created_ms // 1000, UTC).year


def fuzz(runs: int, seed: int, folder: Path, target: Callable[[bytes], object]) -> None:
    """Fuzz in this process, which libFuzzer ends: with 0, or with 77 and the finding left in the folder."""
    flags = [f"-atheris_runs={runs}", f"-seed={seed}", f"-artifact_prefix={folder}/found-", "-max_len=4096"]
    flags += ["-timeout=20", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *flags, str(folder / "corpus")], target)
    atheris.Fuzz()


def main() -> int:
    """Fuzz in a process of its own, so that its files can be cleared away; print what was found, in hex."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seeded", action="store_true", help="fuzz a program with a known bug; must fail")
    parser.add_argument("--seed", type=int, default=1, help="of the random number generator")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        fuzz(options.runs, options.seed, options.folder, check_seeded if options.seeded else check)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        for number, data in enumerate(seeds()):
            (folder / "corpus" / f"{number:03}").write_bytes(data)
        child = subprocess.run([sys.executable, *sys.argv, "--folder", name], check=False)
        for found in folder.glob("found-*"):
            print("found with the input", found.read_bytes().hex())
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
