"""Fuzz the frame codec with atheris: `python tests/fuzz/fuzz_frame.py --runs N [--seeded]`.

Ends with 0 when nothing was found. `--seeded` is the negative control: the codec is followed by a careless
reader with a known bug, and the run must end non-zero.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["qekm.dkp"]):
    from qekm.dkp import pages, signed
    from qekm.dkp.codes import Code, Fault
    from qekm.dkp.frame import Frame, Reader, Tag, parse, serialize
    from qekm.dkp.messages import check_flags, check_missing, named_dki

from tests.fuzz.corpus import seeds
from tests.fuzz.mending import PAGES, mend

ALLOWED = (Code.EE23, Code.EE2C, Code.EEE1)


def check(data: bytes) -> Frame | None:
    """Hold the codec to its laws for these bytes; anything but a listed Fault is a finding."""
    if data and data[-1] < 64:  # a quarter of the inputs is enough for the reader
        at = data[-1] % len(data)
        assert _read(data[:at], data[at:]) == _read(data)
    try:
        frame = parse(data)
    except Fault as fault:
        assert fault.code is Code.EE23, fault
        return None
    assert serialize(frame) == data
    for step in (check_missing, check_flags, named_dki, signed.signature_of, _check_dsk, _check_key):
        try:
            step(frame)
        except Fault as fault:
            assert fault.code in ALLOWED, fault
    return frame


def _read(*chunks: bytes) -> list[bytes | str]:
    reader = Reader()
    found: list[bytes | str] = []
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (raw := reader.next_frame()) is not None:
                found.append(raw)
    except Fault as fault:
        found.append(fault.text)
    return found


def _check_dsk(frame: Frame) -> None:
    value = frame.get(Tag.DSK_LIST)
    if value is not None:
        parts = signed.split_dsk_list(value)
        assert signed.join_dsk_list(*parts) == value
        pages.parse_public_key_page(parts[1])


def _check_key(frame: Frame) -> None:
    value = frame.get(Tag.SET_DATA_ENCRYPTION)
    if value is not None:
        page = pages.parse_set_data_encryption(value)
        assert pages.serialize_set_data_encryption(page) == value
        pages.parse_label(pages.split_wrapped_key(page.key)[1])


def check_seeded(data: bytes) -> None:
    """Do what check does, then read the frame as a careless program would."""
    frame = check(data)
    page = frame.get(Tag.NEXT_BLOCK_ENCRYPTION_STATUS) if frame else None
    if page is not None:
        _read_nonce(page)


def _read_nonce(page: bytes) -> int:
    """Walk over the descriptors; the bug: one size of nonce is taken for granted."""
    at, total = 16, 0
    while at < len(page):
        length = int.from_bytes(page[at + 2 : at + 4])
        if page[at] == 2:
            total += page[at + 4 + 15]
        at += 4 + length
    return total


def fuzz(runs: int, seed: int, folder: Path, target: Callable[[bytes], object]) -> None:
    """Fuzz in this process, which libFuzzer ends: with 0, or with 77 and the finding left in the folder."""
    flags = [f"-atheris_runs={runs}", f"-seed={seed}", f"-artifact_prefix={folder}/found-", "-max_len=4096"]
    flags += [
        "-timeout=20",
        "-rss_limit_mb=1024",
        "-verbosity=0",
        "-print_final_stats=1",
        str(folder / "corpus"),
    ]
    atheris.Setup([sys.argv[0], *flags], lambda data: target(mend(data)))
    atheris.Fuzz()


def main() -> int:
    """Fuzz in a process of its own, so that its files can be cleared away; print what was found, in hex."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seeded", action="store_true", help="fuzz a reader with a known bug; must fail")
    parser.add_argument("--seed", type=int, default=1, help="of the random number generator")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        atheris.instrument_func(_read_nonce)
        fuzz(options.runs, options.seed, options.folder, check_seeded if options.seeded else check)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        for number, frame in enumerate(seeds()):
            (folder / "corpus" / f"{number:03}").write_bytes(bytes((PAGES,)) + frame)
        child = subprocess.run([sys.executable, *sys.argv, "--folder", name], check=False)
        for found in folder.glob("found-*"):
            print("found with the frame", mend(found.read_bytes()).hex())
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
