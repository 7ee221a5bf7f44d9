"""Receivers of alarms whose answers have no end: neither memory nor an alarm is lost over them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.alarms.mail import LIMIT_S, Mail
from qekm.alarms.smtp import MOST_BYTES, MOST_LINES
from qekm.alarms.undelivered import Undelivered
from qekm.alarms.webhook import Webhook
from qekm.rpc.tls import Files
from qekm.secret import Secret
from tests.fakes.pki import Pki
from tests.qekm.alarms.receivers import server_context
from tests.qekm.alarms.test_receivers import DIGEST, trusting
from tests.waiting import PATIENCE_S

HOST = "127.0.0.1"
GREETING = b"220 hello\r\n"
SHORT_S = 1.5  # in which a handshake comes to its end on a busy machine, too
NO_END = f"no end of it within {SHORT_S} s"


@contextmanager
def saying(first: bytes, again: bytes, rest_s: float, files: Files | None = None) -> Iterator[int]:
    """Run a server that says something, and then the same again until who listens has gone; its port.

    files: for TLS from the beginning.
    """

    def serve() -> None:
        line = listening.accept()[0]
        if files is not None:
            line = server_context(files).wrap_socket(line, server_side=True)
        with suppress(OSError), line:
            line.settimeout(PATIENCE_S)
            line.sendall(first)
            end = time.monotonic() + PATIENCE_S
            while time.monotonic() < end:
                line.sendall(again)
                time.sleep(rest_s)

    with socket.create_server((HOST, 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "its line was closed"


def mail(port: int, limit_s: float) -> Mail:
    to = ["a@example.org"]
    return Mail((HOST, port), "off", "q@x.org", to, "", lambda: Secret(b""), timeout_s=5.0, limit_s=limit_s)


def failure(receiver: Mail | Webhook) -> tuple[str, str]:
    with pytest.raises(Undelivered) as caught:
        receiver.take([DIGEST])
    return caught.value.stage, caught.value.reason


@pytest.mark.parametrize("line", [b"220-x\r\n" * 50, b"220-" + b"x" * 8_000 + b"\r\n"])
@pytest.mark.parametrize(("first", "step"), [(b"", "connect"), (GREETING, "send")])
def test_of_a_mail_servers_answer_without_an_end_only_so_much_is_read(
    line: bytes, first: bytes, step: str
) -> None:
    with saying(first, line, 0.0) as port:
        found, reason = failure(mail(port, LIMIT_S))
    told = f"an answer of more than {MOST_LINES} lines or {MOST_BYTES:,} bytes"
    assert found == step and reason.endswith(told)


@pytest.mark.parametrize(("first", "step"), [(b"", "connect"), (GREETING, "send")])
@pytest.mark.parametrize("slow", [b"220-x\r\n", b"2"])
def test_a_mail_server_that_goes_on_slowly_is_given_up_in_time(first: bytes, step: str, slow: bytes) -> None:
    with saying(first, slow, 0.05) as port:
        assert failure(mail(port, SHORT_S)) == (step, NO_END)


@pytest.mark.parametrize("slow", [b"HTTP/1.1 100 Continue\r\n\r\n", b"H"])
def test_a_webhook_that_goes_on_slowly_is_given_up_in_time(slow: bytes) -> None:
    with saying(b"", slow, 0.05) as port:
        hook = Webhook(f"http://{HOST}:{port}/", None, lambda: 0, timeout_s=5.0, limit_s=SHORT_S)
        assert failure(hook) == ("answer", NO_END)


def test_what_a_webhook_has_taken_is_delivered_however_slowly_it_goes_on_about_it() -> None:
    with saying(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.05) as port:
        Webhook(f"http://{HOST}:{port}/", None, lambda: 0, timeout_s=5.0, limit_s=SHORT_S).take([DIGEST])


def test_so_it_is_behind_tls(tmp_path: Path) -> None:
    files = Pki(tmp_path / "pki").server
    with saying(b"", b"2", 0.05, files) as port:
        sent = replace(mail(port, SHORT_S), address=("localhost", port), tls="tls", context=trusting(files))
        assert failure(sent) == ("connect", NO_END)
    with saying(b"", b"H", 0.05, files) as port:
        hook = Webhook(f"https://localhost:{port}/", None, lambda: 0, trusting(files), 5.0, SHORT_S)
        assert failure(hook) == ("answer", NO_END)
