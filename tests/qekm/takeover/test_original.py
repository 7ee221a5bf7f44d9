"""What lies in the directory of an installation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm.errors import BadArgument, BadConfiguration, BadFile, QekmError, exit_code
from qekm.home import Home
from qekm.takeover import Original, read
from tests.fakes import original
from tests.fakes.original import SERIALS, install, ours


@pytest.fixture
def old(tmp_path: Path) -> original.Original:
    return install(tmp_path, ours(1))


def found(old: original.Original, drives: Path | None = None, **given: str) -> Original:
    return read(old.path, Home(old.path.parent / "home"), drives, given)


def serials(seen: Original) -> list[str]:
    return [drive.entry.serial for drive in seen.drives.drives]


def test_a_whole_installation_is_read_and_what_is_not_is_named(old: original.Original) -> None:
    before = old.contents()
    seen = found(old)
    assert (seen.keystore, seen.content) == (old.keystore, before[old.keystore])
    assert (serials(seen), seen.drives.file) == ([*SERIALS], "listdrives.txt")
    assert seen.key_set == "KEY000000000000000001"
    assert [line.name for line in seen.client][:2] == [
        "TransportListener.ssl.host",
        "TransportListener.ssl.port",
    ]
    assert seen.unread == {
        "KeyGroups.xml": "key groups: their form was never published",
        "keymanager/": "",
        "keymanager/filedrive.table": "the drive table: its form was never published",
    }
    assert old.contents() == before


def test_a_file_of_drives_can_be_named_be_csv_or_be_missing(old: original.Original, tmp_path: Path) -> None:
    (old.path / "listdrives.txt").rename(tmp_path / "elsewhere.txt")
    assert serials(found(old)) == []
    assert serials(found(old, tmp_path / "elsewhere.txt")) == [*SERIALS]
    (old.path / "drives.csv").write_text("serial\nA\n")
    assert serials(found(old)) == ["A"]
    assert serials(found(old, tmp_path / "elsewhere.txt")) == [*SERIALS]
    (old.path / "listdrives.txt").write_text("Drive entries: 0\n")
    with pytest.raises(BadArgument, match=r"listdrives.txt and drives.csv are both") as caught:
        found(old)
    assert "--drives" in caught.value.advice


def test_a_drive_table_is_read_only_if_it_is_an_export_of_this_program(old: original.Original) -> None:
    (old.path / "listdrives.txt").unlink()
    assert serials(found(old)) == []
    (old.path / "keymanager" / "filedrive.table").write_text("serial,wwnn\nA,\n")
    seen = found(old)
    assert (serials(seen), seen.drives.file) == (["A"], "filedrive.table")
    assert "keymanager/filedrive.table" not in seen.unread


def test_the_keystore_is_where_the_properties_say(old: original.Original) -> None:
    (old.path / "keys").mkdir()
    old.keystore.rename(old.path / "keys" / "Other.jck")
    with pytest.raises(BadFile, match=r"line 15: config.keystore.file names .*EKMKeys.jck"):
        found(old)
    old.set("config.keystore.file", "C\\:\\\\QEKM\\\\keys\\\\Other.jck")
    assert found(old).keystore == old.path / "keys" / "Other.jck"
    old.set("config.keystore.file", "C:\\QEKM\\keys\\OTHER.jck")
    assert found(old).keystore == old.path / "keys" / "Other.jck"
    lines = [line for line in old.config.read_text().splitlines(True) if "config.keystore.file" not in line]
    old.config.write_text("".join(lines))
    with pytest.raises(BadFile, match=r"there is no EKMKeys.jck in"):
        found(old)
    (old.path / "keys" / "Other.jck").rename(old.path / "EKMkeys.jck")  # as the guide spells it, too
    assert found(old).keystore == old.path / "EKMkeys.jck"


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("KeyManagerConfig.properties", None, BadArgument, "there is no KeyManagerConfig.properties in"),
        ("KeyManagerConfig.properties", b"", BadFile, "KeyManagerConfig.properties is empty"),
        ("KeyManagerConfig.properties", b"a = b\n", BadFile, "names no property of the original"),
        ("KeyManagerConfig.properties", b"# nothing\n", BadFile, "names no property of the original"),
        ("KeyManagerConfig.properties", b"fips = off\nfoo", BadConfiguration, "line 2: "),
        ("KeyManagerConfig.properties", b"grpc.port = 1\n", BadArgument, "a property of this program"),
        (
            "ClientKeyManagerConfig.properties",
            b"foo\n",
            BadConfiguration,
            "ClientKeyManagerConfig.properties, line 1",
        ),
        ("EKMKeys.jck", b"", BadFile, "EKMKeys.jck is empty"),
        ("EKMKeys.jck", None, BadFile, "config.keystore.file names"),
        ("listdrives.txt", b"", BadFile, "listdrives.txt is empty"),
        ("listdrives.txt", b"Drive entries: 1\n", BadArgument, "listdrives.txt: it says 1 drive entries"),
    ],
)
def test_what_is_missing_or_not_what_it_should_be_is_named(
    old: original.Original, name: str, content: bytes | None, error: type[QekmError], said: str
) -> None:
    if content is None:
        (old.path / name).unlink()
    else:
        (old.path / name).write_bytes(content)
    with pytest.raises(error, match=said) as caught:
        found(old)
    assert exit_code(caught.value) == 2


def test_an_installation_without_the_file_of_its_client_is_one(old: original.Original) -> None:
    (old.path / "ClientKeyManagerConfig.properties").unlink()
    assert list(found(old).client) == []


def test_a_file_that_is_far_too_large_is_not_read(old: original.Original) -> None:
    os.truncate(old.config, 2**30)
    with pytest.raises(BadFile, match="more than any such file"):
        found(old)
