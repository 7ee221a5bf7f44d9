"""Where a process's log goes: JSON lines with the same names whatever they tell; what is masked stays so."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.logs.entry import AUDIT, Entry, of_line, of_record
from qekm.logs.jsonlines import json_line
from qekm.logs.outlets import is_journal
from qekm.logs.record import Told
from qekm.model import AuditRecord, Outcome
from tests.qekm.logs.test_escaping import ANY_TEXT
from tests.qekm.logs.test_record import SERVED

ROOT = Path(__file__).parents[3]
PROGRAM = """
import logging, sys
from pathlib import Path
from qekm.home import Home
from qekm.logs.entry import of_record
from qekm.logs.process import ProcessLog
from qekm.logs.record import Told
from tests.qekm.logs.test_record import SERVED
settings = {"log.format": sys.argv[2], "log.level": "info", "log.syslog": "", "log.journald": False}
with ProcessLog(Home(Path(sys.argv[1])), "qekm-server", "service") as log:
    log.configure(settings)
    fields = {"where": "here", "key": b"K" * 32}
    logging.getLogger("qekm.test").warning("it %s", "rains", extra={"fields": fields})
    logging.getLogger("qekm.test").debug("unheard")
    if log.outlets.wanted:
        log.outlets.give(of_record(Told(17, SERVED, "IBM")))
    try:
        raise KeyError("no such thing")
    except KeyError:
        logging.getLogger("qekm.test").exception("oh")
"""


def run(home: Path, form: str) -> list[str]:
    """Return the lines that a process writes on standard error."""
    home.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(home), form]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stderr.splitlines()


def test_json_lines_hold_log_and_trail(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in run(tmp_path / "home", "json")]
    assert {line["process"] for line in lines} == {"qekm-server"}
    by_logger = {line["logger"]: line for line in lines if line["message"] != "oh"}
    assert by_logger["qekm.test"]["message"] == "it rains"
    assert by_logger["qekm.test"]["level"] == "warning"
    assert by_logger["qekm.test"]["fields"] == {"where": "here", "key": "<32 bytes>"}
    served = by_logger[AUDIT]
    assert served["time"] == "2026-01-31T12:00:00.000007Z"
    assert served["fields"] == {
        "sequence": "17",
        "event": "key.serve",
        "outcome": "intent",
        "actor": "drive/001300000392",
        "drive_vendor": "IBM",
        "drive_serial": "001300000392",
        "drive_wwnn": "500308C0C0FFEE00",
        "volser": "E01001L4",
        "alias": "QKM0032584189D0000000",
    }
    (oh,) = [line for line in lines if line["message"] == "oh"]
    assert "KeyError" in oh["trace"]
    assert len(lines) == 3


def test_lines_of_text_hold_the_log_alone_as_before(tmp_path: Path) -> None:
    lines = run(tmp_path / "home", "text")
    assert len(lines) == 2
    assert lines[0].endswith(' warning qekm-server qekm.test "it rains" where="here" key="<32 bytes>"')


@given(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT))
def test_any_entry_is_one_line_of_ascii_and_reads_back(message: str, fields: dict[str, str]) -> None:
    line = json_line(Entry(7, logging.ERROR, "x", message, fields, ""), "p")
    assert line.isascii()
    assert "\n" not in line
    told = json.loads(line)
    assert (told["message"], told.get("fields", {}), told["pid"]) == (message, fields, os.getpid())


def test_standard_error_is_the_journal_where_systemd_says_so_of_that_very_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "other").open("w") as other:
        found = os.fstat(out.fileno())
        stream = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(out.fileno(), stream, tmp_path)
        assert not is_journal(other.fileno(), stream, tmp_path)  # it was sent elsewhere
        assert not is_journal(out.fileno(), {}, tmp_path)
        assert not is_journal(out.fileno(), stream, tmp_path / "none")  # nobody to tell it to


def test_of_bytes_and_objects_only_the_kind_is_told() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s and %s", (b"CANARY", object()), None)
    assert of_line(record).message == "<6 bytes> and <object>"


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (Outcome.INTENT, logging.INFO),
        (Outcome.SUCCESS, logging.INFO),
        (Outcome.FAILURE, logging.WARNING),
    ],
)
def test_a_failure_weighs_more(outcome: Outcome, level: int) -> None:
    entry = of_record(Told(1, AuditRecord(1, "drive.refuse", outcome, "x", code="EE31", message="no")))
    assert (entry.level, entry.fields["error"], entry.fields["text"]) == (level, "EE31", "no")
    assert "keystore" in entry.fields["error_text"]
    assert SERVED.alias not in str(entry)
