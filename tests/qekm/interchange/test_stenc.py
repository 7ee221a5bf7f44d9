"""Key files of stenc: the real program reads ours and tells a drive the right key."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument, BadFile
from qekm.interchange.stenc import DescribedKey, parse, serialize
from qekm.secret import Secret

SHIM = Path(__file__).with_name("drive_shim.c")
MATERIAL = b"\0\n\r\xff" + bytes(range(28))
ALIAS = "QKM000000000000000001"
needs_stenc = pytest.mark.skipif(
    not (shutil.which("stenc") and shutil.which("gcc")), reason="stenc or gcc is not installed"
)


class Drive:
    """A folder in which the shim keeps what a drive was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.device = folder / "drive.0"
        self.device.touch()
        command = [
            "gcc",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-o",
            str(folder / "shim.so"),
            str(SHIM),
        ]
        subprocess.run(command, check=True, timeout=60)

    def stenc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the real stenc on this drive."""
        extra = {"LD_PRELOAD": str(self.folder / "shim.so"), "QEKM_DRIVE": str(self.folder), "LC_ALL": "C"}
        command = ["stenc", "-f", str(self.device), *arguments]
        return subprocess.run(
            command, env=os.environ | extra, capture_output=True, errors="replace", timeout=60, check=False
        )

    def set_key(self, content: bytes) -> subprocess.CompletedProcess[str]:
        """Set the key of a file, which is gone again afterwards."""
        file = self.folder / "key"
        file.write_bytes(content)
        try:
            return self.stenc("-e", "on", "-a", "1", "-k", str(file))
        finally:
            file.unlink()


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    return Drive(tmp_path)


def key(description: str = ALIAS, material: bytes = MATERIAL) -> DescribedKey:
    return DescribedKey(description, Secret(material))


# The program.


@needs_stenc
@pytest.mark.parametrize("description", [ALIAS, "ABCD", "x" * 32, "a key of ours"])
def test_stenc_sets_the_key_and_its_description_from_our_file(drive: Drive, description: str) -> None:
    done = drive.set_key(serialize(key(description)))
    assert done.returncode == 0, done.stdout + done.stderr
    page = (drive.folder / "page").read_bytes()
    text = description.encode()
    assert page[:4] == b"\0\x10" + (len(page) - 4).to_bytes(2, "big")
    assert page[4:20] == bytes.fromhex("40000202010000000000000000000020"), (
        "encrypt, decrypt; a key of 32 bytes"
    )
    assert page[20:52] == MATERIAL
    # Byte 1 has reserved bits above its lowest three: stenc 1.0.7 fills them with what its stack holds.
    descriptor = bytes((page[52], page[53] & 7)) + page[54:]
    assert descriptor == b"\0\0" + len(text).to_bytes(2, "big") + text, "a U-KAD"
    assert (drive.folder / "cdb").read_bytes() == b"\xb5\x20\0\x10\0\0" + len(page).to_bytes(
        4, "big"
    ) + b"\0\0"


@needs_stenc
def test_stenc_then_shows_our_description_and_logs_nothing_of_the_key(drive: Drive) -> None:
    drive.set_key(serialize(key()))
    shown = drive.stenc("--detail").stdout
    assert f"(uKAD):   {ALIAS}" in shown
    log = (drive.folder / "log").read_text()
    assert ALIAS in log
    assert "Checksum" not in log


@needs_stenc
def test_stenc_logs_a_sum_over_the_key_when_there_is_no_description(drive: Drive) -> None:
    """Why `serialize` wants one."""
    drive.set_key(serialize(key()).splitlines(keepends=True)[0])
    assert "Key Checksum" in (drive.folder / "log").read_text()


@needs_stenc
@pytest.mark.parametrize("wrong", [b"\xef\xbb\xbf", b"0x", b" "])
def test_the_test_would_see_a_file_that_stenc_does_not_take(drive: Drive, wrong: bytes) -> None:
    assert drive.set_key(wrong + serialize(key())).returncode != 0
    assert not (drive.folder / "page").exists()
    with pytest.raises(BadFile):
        parse(wrong + serialize(key()))


@needs_stenc
def test_stencs_own_key_file_is_read(drive: Drive) -> None:
    file = drive.folder / "made"
    done = subprocess.run(
        ["stenc", "-g", "256", "-k", str(file), "-kd", "September"], input=b"typed\n", timeout=60, check=False
    )
    assert done.returncode == 0
    assert parse(file.read_bytes()).description == "September"


# The format.


def test_a_file_is_two_lines() -> None:
    assert serialize(key()) == MATERIAL.hex().encode() + b"\n" + ALIAS.encode() + b"\n"


@given(st.binary(min_size=32, max_size=32), st.text(min_size=1, max_size=32))
def test_what_is_written_is_read_the_same(material: bytes, description: str) -> None:
    try:
        data = serialize(key(description, material))
    except BadArgument:
        assert not description.isprintable() or len(description.encode("utf-8", "replace")) > 32
        return
    found = parse(data)
    assert (found.material.reveal(), found.description) == (material, description)


@pytest.mark.parametrize(
    ("content", "description"),
    [(b"", ""), (b"\n", ""), (b"\n\n", ""), (b"\nx", "x"), (b"\nx\n", "x"), (b"\n x ", " x ")],
)
def test_a_description_and_the_last_line_end_may_be_missing(content: bytes, description: str) -> None:
    found = parse(MATERIAL.hex().upper().encode() + content)
    assert (found.material.reveal(), found.description) == (MATERIAL, description)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"00" * 16 + b"\nshort",
        b"00" * 33 + b"\nlong",
        b"00" * 31 + b"0g\nx",
        b"00" * 32 + b"\r\nx\r\n",
        b"00" * 32 + b"\nx\ny",
        b"00" * 32 + b"\nx\n\n",
        b"00" * 32 + b"\n" + b"x" * 33,
        b"00" * 32 + b"\n\x1b[2J",
        b"00" * 32 + b"\n\xff",
        b"00" * 32 + b"\n" + b"x" * 5_000,
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadFile):
        parse(data)


@given(st.binary(max_size=120))
def test_any_bytes_are_refused_with_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(BadFile):
        parse(data)


@pytest.mark.parametrize(
    "wrong",
    [key(""), key("x" * 33), key("ü" * 17), key("two\nlines"), key("\ud800"), key(material=bytes(16))],
    ids=["none", "long", "long in bytes", "two lines", "a surrogate", "a short key"],
)
def test_what_a_drive_or_stenc_cannot_take_is_not_written(wrong: DescribedKey) -> None:
    with pytest.raises(BadArgument):
        serialize(wrong)
