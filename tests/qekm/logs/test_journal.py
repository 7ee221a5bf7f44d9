"""The journal of systemd gets every entry with its fields, and no value makes a field of its own."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.logs.entry import Entry, of_record
from qekm.logs.journal import Journal, datagram, fields_of
from qekm.logs.record import Told
from tests.qekm.logs.receivers import journald
from tests.qekm.logs.test_escaping import ANY_TEXT
from tests.qekm.logs.test_record import SERVED
from tests.waiting import wait_for


def read(raw: bytes) -> dict[str, bytes]:
    """Return the fields of a datagram, as systemd.io/JOURNAL_NATIVE_PROTOCOL says."""
    fields = {}
    while raw:
        name, _, rest = raw.partition(b"\n")
        if b"=" in name:
            key, _, value = name.partition(b"=")
            raw = rest
        else:
            key, size = name, int.from_bytes(rest[:8], "little")
            value, end = rest[8 : 8 + size], rest[8 + size : 9 + size]
            assert end == b"\n"
            raw = rest[9 + size :]
        fields[key.decode()] = value
    return fields


@given(ANY_TEXT, st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), ANY_TEXT, max_size=4))
def test_any_entry_reads_back_and_forges_no_field(text: str, fields: dict[str, str]) -> None:
    found = read(datagram(fields_of(Entry(7, logging.ERROR, "x.y", text, fields), "qekm-server"), 48_000))
    assert found["MESSAGE"] == text.encode(errors="backslashreplace")
    assert (found["PRIORITY"], found["SYSLOG_IDENTIFIER"]) == (b"3", b"qekm-server")
    ours = {name: value for name, value in found.items() if name not in ("QEKM_LOGGER", "QEKM_TIME")}
    expected = {
        f"QEKM_{name.upper()}": value.encode(errors="backslashreplace") for name, value in fields.items()
    }
    for name in ("QEKM_LOGGER", "QEKM_TIME"):
        expected.pop(name, None)
    assert {name: value for name, value in ours.items() if name.startswith("QEKM_")} == expected


def test_systemd_s_own_journal_keeps_log_and_trail_with_their_fields(tmp_path: Path) -> None:
    with journald(tmp_path) as place:
        journal = Journal("qekm-server", place.socket)
        journal.take(
            [
                Entry(
                    1, logging.WARNING, "qekm.test", "it\nrains\nPRIORITY=0", {"where": "here\nMESSAGE=no"}
                ),
                of_record(Told(17, SERVED, "IBM")),
                Entry(1, logging.ERROR, "qekm.test", "oh", {}, "Traceback" + "\n x" * 30_000),
                Entry(1, logging.INFO, "qekm.test", "x" * 48_000, {str(n): "y" * 48_000 for n in range(9)}),
            ]
        )
        found = wait_for(
            lambda: len(entries := place.entries("SYSLOG_IDENTIFIER=qekm-server")) == 4 and entries,
            "the journal has not what it was given",
        )
        journal.close()
    log, trail, long, wide = found
    assert (log["MESSAGE"], log["PRIORITY"]) == ("it\nrains\nPRIORITY=0", "4")
    assert (log["QEKM_WHERE"], log["QEKM_LOGGER"]) == ("here\nMESSAGE=no", "qekm.test")
    assert (trail["QEKM_EVENT"], trail["QEKM_VOLSER"], trail["SYSLOG_FACILITY"]) == (
        "key.serve",
        "E01001L4",
        "13",
    )
    assert trail["QEKM_SEQUENCE"] == "17"
    assert trail["MESSAGE"].startswith("key.serve intent sequence=17 actor=drive/001300000392")
    assert long["MESSAGE"].startswith("oh\nTraceback\n x")
    assert len(wide["MESSAGE"]) in (1_000, 48_000)


def test_a_journal_that_is_away_is_an_error_and_one_that_comes_back_gets_the_next(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    journal = Journal("qekm-server", place)
    entry = Entry(1, logging.INFO, "x", "y")
    with pytest.raises(FileNotFoundError):
        journal.take([entry])
    for _ in range(2):  # it was started again, and its socket is another one
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
            there.bind(str(place))
            journal.take([entry])
            assert read(there.recv(65_536))["MESSAGE"] == b"y"
        place.unlink()
    journal.close()
