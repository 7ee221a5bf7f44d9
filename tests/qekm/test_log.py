"""A log is one line per event, and what must not be in it is not."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys

import pytest

from qekm.log import LineFormatter
from qekm.model import Vault
from qekm.secret import Secret

LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (\w+) qekm-server qekm\.test ("[^"]*".*)\n')


class Log(logging.Logger):
    """A logger of its own that writes what a process would write, into memory."""

    def __init__(self) -> None:
        super().__init__("qekm.test")
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(LineFormatter("qekm-server"))
        self.addHandler(handler)

    def text(self) -> str:
        """Return all that was written."""
        return self._stream.getvalue()

    def line(self) -> str:
        """Return what follows the logger's name in the one line that was written."""
        matched = LINE.fullmatch(self.text())
        assert matched, self.text()
        return matched[2]


@pytest.fixture
def log() -> Log:
    return Log()


def test_an_event_is_one_line_with_time_level_process_and_place(log: Log) -> None:
    log.warning("drive %s refused: %d times", "001300000392", 3)
    assert log.line() == '"drive 001300000392 refused: 3 times"'
    assert " warning " in log.text()


def test_fields_stand_behind_the_message(log: Log) -> None:
    log.info("stopped", extra={"fields": {"incident": "7f3a91c2", "count": 2, "key": b"K" * 32}})
    assert log.line() == '"stopped" incident="7f3a91c2" count="2" key="<32 bytes>"'


@pytest.mark.parametrize(
    "value",
    [
        b"CANARY",
        bytearray(b"CANARY"),
        memoryview(b"CANARY"),
        Secret(b"CANARY"),
        [b"CANARY"],
        {"key": b"CANARY"},
        Vault("v", b"CANARY", b""),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("message", ["key %s", "key %r", "key %d", "%s and %s"])
def test_bytes_and_objects_that_may_hold_them_are_not_shown(log: Log, message: str, value: object) -> None:
    log.debug(message, value)
    log.debug("key %(it)s", {"it": value})
    assert "CANARY" not in log.text()
    assert log.text().count("\n") == 2


@pytest.mark.parametrize("text", ["two\nlines", "\r\x1b[31m", 'quote" forged="1', "\u2028", "\x00\x85"])
def test_no_text_can_forge_a_second_line_or_field(log: Log, text: str) -> None:
    log.info("volser %s", text, extra={"fields": {"volser": text}})
    written = log.text()
    assert written.isascii()
    assert len(written.splitlines()) == 1
    assert re.sub(r'"([^"\\]|\\.)*"', "", written).count("=") == 1


def test_a_traceback_stays_on_its_line(log: Log) -> None:
    try:
        raise ValueError("of\nno use")
    except ValueError:
        log.exception("failed")
    assert log.text().count("\n") == 1
    assert 'trace="Traceback (most recent call last)' in log.text()


def test_a_process_writes_to_standard_error_from_a_level_on() -> None:
    program = (
        "import logging, warnings; from qekm.log import configure; configure('qekm-gateway', 'info')\n"
        "logging.getLogger('a').debug('quiet'); logging.getLogger('b').info('loud')\n"
        "warnings.warn('careful')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert re.fullmatch(
        r'\S+ info qekm-gateway b "loud"\n\S+ warning qekm-gateway py\.warnings .*\n', done.stderr
    )
