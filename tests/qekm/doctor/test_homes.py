"""Homes that are really broken: what is broken is named first, and without it all is well."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from qekm import clock
from qekm.configuration.settings import amend
from qekm.home import Home
from qekm.model import Role
from tests.cli.doctor.rig import DAY_US, Authority, examined

NOW_US = clock.now_us()


def rewrite(path: Path, content: bytes, place: int = 0) -> None:
    """Overwrite some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def sql(home: Home, statement: str) -> None:
    """Change a store behind everybody's back."""
    with closing(sqlite3.connect(home.store)) as connection, connection:
        connection.execute(statement)


def gone(home: Home) -> None:
    shutil.rmtree(home.path)


def emptied(home: Home) -> None:
    shutil.rmtree(home.path)
    home.path.mkdir()


def without_store(home: Home) -> None:
    home.store.unlink()


def readable_key(home: Home) -> None:
    home.key("server").chmod(0o644)


def readable_root_key(home: Home) -> None:
    home.root_key.chmod(0o640)


def writable_home(home: Home) -> None:
    home.path.chmod(0o777)


def linked_root_key(home: Home) -> None:
    home.root_key.rename(home.path / "elsewhere")
    home.root_key.symlink_to(home.path / "elsewhere")


def bad_line(home: Home) -> None:
    text = home.config.read_text()
    home.config.write_text(text.replace("dkp.frameTimeout=30", "dkp.frameTimeout=soon"))


def cut_off(home: Home) -> None:
    content = home.config.read_bytes()
    home.config.write_bytes(content[: len(content) // 2])


def another_key(home: Home) -> None:
    shutil.copy2(home.key("gateway"), home.key("server"))


def damaged_pem(home: Home) -> None:
    rewrite(home.certificate("server"), b"!" * 40, 60)


def damaged_trust(home: Home) -> None:
    home.trust.write_bytes(b"-----BEGIN CERTIFICATE-----\nnothing\n")


def ended(home: Home) -> None:
    authority = Authority.of(home, NOW_US - 500 * DAY_US)
    authority.issue_all(home, NOW_US - 2 * DAY_US)
    authority.issue(home, "server", Role.SERVER, NOW_US - 400 * DAY_US, 30, ("localhost",))


def not_yet(home: Home) -> None:
    authority = Authority.of(home, NOW_US - 500 * DAY_US)
    authority.issue_all(home, NOW_US - 2 * DAY_US)
    authority.issue(home, "server", Role.SERVER, NOW_US + 30 * DAY_US, 30, ("localhost",))


def wrong_authority(home: Home) -> None:
    Authority.of(home, NOW_US - 500 * DAY_US)


def wrong_role(home: Home) -> None:
    authority = Authority.of(home, NOW_US - 500 * DAY_US)
    authority.issue_all(home, NOW_US)
    authority.issue(home, "server", Role.AUDITOR, NOW_US)


def young_authority(home: Home) -> None:
    Authority.of(home, NOW_US + 400 * DAY_US).issue_all(home, NOW_US + 400 * DAY_US)


def future_files(home: Home) -> None:
    later = NOW_US / 1e6 + 3 * 86_400
    os.utime(home.store, (later, later))


def without_root_key(home: Home) -> None:
    home.root_key.unlink()


def damaged_header(home: Home) -> None:
    rewrite(home.store, b"\x00" * 16)


def damaged_page(home: Home) -> None:
    rewrite(home.store, b"\xff" * 80, 100)


def newer_store(home: Home) -> None:
    sql(home, "UPDATE alembic_version SET version_num = '9999'")


def other_estate(home: Home) -> None:
    sql(home, "UPDATE estate SET estate_id = x'00112233445566778899aabbccddeeff'")


def no_target(home: Home) -> None:
    amend(home.config, {"backup.target": str(home.path.parent / "unmounted")}, keep=False)


def stale(home: Home) -> None:
    home.run.mkdir(mode=0o700, exist_ok=True)
    home.run_file("server").write_text('{"pid": 4711, "version": "0.5.0", "ports": {"grpc": 3802}}')


CASES: dict[str, tuple[Callable[[Home], None], str, str]] = {
    "no home": (gone, "home", "there is no directory"),
    "an empty home": (emptied, "home", "qekm init"),
    "no store": (without_store, "home", "qekm.db is missing"),
    "a server key that others may read": (readable_key, "permissions", "server.key (mode 0644)"),
    "a key file that the group may read": (readable_root_key, "permissions", "root.key (mode 0640)"),
    "a home that everybody may write": (writable_home, "permissions", "(mode 0777)"),
    "a key file that is a link": (linked_root_key, "permissions", "root.key is a link"),
    "a property with a bad value": (bad_line, "configuration", "dkp.frameTimeout must be a whole number"),
    "settings that were cut off": (cut_off, "configuration", "was cut off after line"),
    "a key that is not the certificate's": (
        another_key,
        "certificates",
        "server.key is not that of server.pem",
    ),
    "a damaged certificate": (damaged_pem, "certificates", "server.pem holds no certificate"),
    "a damaged trust file": (damaged_trust, "certificates", "trust.pem holds no certificate"),
    "a certificate that has ended": (ended, "certificates", "server.pem has ended on"),
    "a certificate that is not valid yet": (not_yet, "certificates", "server.pem is not valid before"),
    "another authority in trust.pem": (wrong_authority, "certificates", "which trust.pem does not have"),
    "a certificate of another role": (wrong_role, "certificates", "of the role auditor, not server"),
    "an authority of next year": (young_authority, "clock", "an authority in trust.pem begins"),
    "files of the day after tomorrow": (future_files, "clock", "qekm.db was written"),
    "no key file": (without_root_key, "keystore", "root.key (keystore.keyFile) is missing"),
    "a store with a damaged header": (damaged_header, "store", "its header is damaged"),
    "a store with a damaged page": (damaged_page, "store", "cannot be read"),
    "a store of a newer program": (newer_store, "store", "is of revision 9999, this program knows"),
    "a store of another estate": (other_estate, "store", "is of the estate 00112233"),
    "a backup target that is not there": (no_target, "backups", "unmounted (backup.target) is not there"),
    "a service that was killed": (stale, "processes", "the service has gone without a word"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_broken_is_named_first_and_without_it_all_is_well(home: Home, case: str) -> None:
    spoil, step, words = CASES[case]
    before = examined(home)
    assert before.first == "", before.told
    spoil(home)
    found = examined(home)
    assert (found.first, words in found.told) == (step, True), found.told
    assert " -> " in found.told and not found.told.endswith("-> "), "it says what to do"


def files_and_times(home: Home) -> dict[str, tuple[int, int, bytes]]:
    """Return everything there is in a home."""
    paths = [path for path in home.path.rglob("*") if path.is_file()]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_ino, p.read_bytes()) for p in paths}


def test_nothing_is_written_whatever_is_found(home: Home) -> None:
    stale(home)
    before = files_and_times(home)
    examined(home)
    assert files_and_times(home) == before


def test_a_service_that_locks_its_store_is_not_disturbed(home: Home) -> None:
    from qekm.store.lock import Lock

    with closing(Lock(home.store.with_name("lock"))):
        assert examined(home).first == ""
