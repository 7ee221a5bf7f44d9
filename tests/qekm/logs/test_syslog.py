"""Syslog messages as RFC 5424 has them, and a real rsyslogd that takes them over UDP, TCP and TLS."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.logs.courier import Courier
from qekm.logs.entry import AUDIT, Entry, of_record
from qekm.logs.record import Told
from qekm.logs.syslog import MOST_DATAGRAM, MOST_MESSAGE, Syslog, client_context, message
from tests.gateway.pki import write_pki
from tests.ports import free_port
from tests.qekm.logs.reading import plain
from tests.qekm.logs.receivers import Rsyslog, rsyslog
from tests.qekm.logs.test_escaping import ANY_TEXT
from tests.qekm.logs.test_record import SERVED
from tests.waiting import wait_for

# RFC 5424, section 6, written down anew.
MESSAGE = re.compile(
    rb"<(?P<pri>[0-9]{1,3})>1 (?P<time>[-0-9T:.Z]+) (?P<host>[\x21-\x7e]{1,255}) (?P<app>[\x21-\x7e]{1,48}) "
    rb"(?P<pid>[\x21-\x7e]{1,128}) (?P<kind>[\x21-\x7e]{1,32}) (?P<data>\[qekm@32473"
    rb'(?: [^\x00-\x20="\]\x7f-\xff]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\]) (?P<text>.*)',
    re.DOTALL,
)
PARAM = re.compile(r' ([^ =]+)="((?:[^"\\\]]|\\["\\\]])*)"')
ENTRIES = [
    Entry(1_795_686_606_816_528, logging.WARNING, "qekm.test", "it\nrains ü", {"where": 'x]"y\\ü'}),
    of_record(Told(17, SERVED, "IBM")),
]


def fields_of(data: str) -> dict[str, str]:
    """Return the parameters of structured data, as they were given."""
    return {name: plain(re.sub(r'\\(["\\\]])', r"\1", value)) for name, value in PARAM.findall(data)}


@given(ANY_TEXT, st.dictionaries(st.text(min_size=1, max_size=40), ANY_TEXT, max_size=5), st.integers(0, 60))
def test_any_entry_is_a_message_of_the_standard(text: str, fields: dict[str, str], level: int) -> None:
    found = MESSAGE.fullmatch(message(Entry(7, level, "x.y", text, fields), "qekm-server", "a host", 8_192))
    assert found
    assert found["host"] == b"a_host"
    told = found["text"].decode("utf-8-sig")
    assert plain(told) == text
    params = fields_of(found["data"].decode())
    assert params["logger"] == "x.y" or "logger" in fields
    names = [re.sub(r"[^\x21-\x7e]", "_", name) for name in fields]
    if (
        all(re.fullmatch(r'[^ ="\]]{1,32}', name) for name in names)
        and len({*names, "logger"}) == len(names) + 1
    ):
        assert [*params.values()][1:] == [*fields.values()]


@given(st.text(max_size=9_000), st.text(max_size=9_000), st.sampled_from([MOST_DATAGRAM, MOST_MESSAGE]))
def test_a_message_is_never_longer_than_it_may_be_and_still_one(text: str, value: str, most: int) -> None:
    raw = message(Entry(7, 20, "x", text, {"a": value, "b": value}), "p", "h", most)
    assert len(raw) <= most
    assert MESSAGE.fullmatch(raw)
    assert raw.decode()


def test_priority_and_kind_tell_log_and_trail_apart() -> None:
    log, trail = (MESSAGE.fullmatch(message(entry, "qekm-server", "h", 8_192)) for entry in ENTRIES)
    assert log
    assert trail
    assert (log["pri"], log["kind"]) == (b"28", b"-")  # daemon.warning
    assert (trail["pri"], trail["kind"]) == (b"110", b"key.serve")  # log audit.info
    assert trail["time"] == b"2026-01-31T12:00:00.000007Z"
    assert not trail["text"].startswith(b"\xef\xbb\xbf")
    assert log["text"].startswith(b"\xef\xbb\xbf")


def make(server: Rsyslog, pki: Path | None = None, client: str = "") -> Syslog:
    """Return the client of a server, which trusts its authority, and shows a certificate if there is one."""
    trust = str(pki / "trust.pem") if pki else None
    files = (str(pki / f"{client}.pem"), str(pki / f"{client}.key")) if pki and client else (None, None)
    return Syslog(server.url, "qekm-server", lambda: client_context(trust, *files))


@contextmanager
def sending(client: Syslog, batch: int = 64) -> Iterator[Courier[Entry]]:
    """Run a courier to a server, which tries again often."""
    courier = Courier("syslog", client, batch=batch, most=50, waits_s=(0.02, 0.1))
    courier.start()
    yield courier
    courier.close()


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """Return a directory with an authority, a server's and a client's certificate."""
    folder = tmp_path / "pki"
    folder.mkdir()
    write_pki(folder, "server", "client")
    return folder


@pytest.mark.parametrize("scheme", ["udp", "tcp", "tls", "tls with our certificate"])
def test_rsyslogd_understands_every_part(tmp_path: Path, pki: Path, scheme: str) -> None:
    mutual = scheme.endswith("certificate")
    with rsyslog(tmp_path / "rsyslog", scheme[:3], pki=pki, peer="localhost" if mutual else "") as server:
        client = make(server, pki, "client" if mutual else "")
        client.take(ENTRIES)
        client.take([Entry(1, logging.ERROR, "qekm.test", "x" * 20_000)])
        log, trail, long = server.wait(3)
        client.close()
    assert (log["pri"], log["app-name"], log["timereported"]) == (
        "28",
        "qekm-server",
        "2026-11-26T09:50:06.816528Z",
    )
    assert log["msg"].removeprefix("\ufeff") == "it\\u000arains ü"
    assert fields_of(log["structured-data"]) == {"logger": "qekm.test", "where": 'x]"y\\ü'}
    assert trail["msgid"] == "key.serve"
    assert fields_of(trail["structured-data"]) == {"logger": AUDIT} | ENTRIES[1].fields  # type: ignore[operator]
    assert set(long["msg"]) == {"x"}
    assert len(long["rawmsg"]) == (MOST_DATAGRAM if scheme == "udp" else MOST_MESSAGE)


def test_another_server_s_certificate_is_refused(tmp_path: Path, pki: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_pki(other, "server")
    with (
        rsyslog(tmp_path / "rsyslog", "tls", pki=other) as server,
        pytest.raises(ssl.SSLError, match="VERIFY"),
    ):
        make(server, pki).take(ENTRIES)
    assert server.messages() == []


def test_a_certificate_of_another_host_is_refused(tmp_path: Path, pki: Path) -> None:
    with rsyslog(tmp_path / "rsyslog", "tls", pki=pki, address="127.0.0.2") as server:
        url = f"tls://127.0.0.2:{server.port}"  # which the certificate does not name
        client = Syslog(url, "x", lambda: client_context(str(pki / "trust.pem"), None, None))
        with pytest.raises(ssl.SSLError, match="mismatch"):
            client.take(ENTRIES)
        assert server.messages() == []


def test_without_the_certificate_that_a_server_wants_nothing_gets_there_and_somebody_hears_of_it(
    tmp_path: Path, pki: Path
) -> None:
    with (
        rsyslog(tmp_path / "rsyslog", "tls", pki=pki, peer="localhost") as server,
        sending(make(server, pki), batch=1) as courier,
    ):
        # With TLS 1.3 a server refuses a client only after the client has begun to send.
        for number in range(40):
            courier.give(Entry(number, logging.INFO, "qekm.test", str(number)))
        wait_for(lambda: courier.trouble, "nobody heard of it")
        assert server.messages() == []


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_server_that_was_away_gets_what_waited_and_hears_how_many_were_lost(
    tmp_path: Path, pki: Path, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Rsyslog(tmp_path / "rsyslog", scheme, pki).start()
    try:
        with sending(make(server, pki)) as courier:
            courier.give(Entry(0, logging.INFO, "qekm.test", "before"))
            server.wait(1)
            server.stop()
            for number in range(200):
                courier.give(Entry(number, logging.INFO, "qekm.test", f"number {number}"))
            wait_for(lambda: courier.trouble, "nobody noticed")
            server.start()
            wait_for(lambda: not courier.trouble, "it did not connect again")
            found = server.wait(51)
    finally:
        server.stop()
    texts = [each["msg"] for each in found]
    numbers = [int(text.split()[1]) for text in texts if text.startswith("number")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[0] == 0
    assert 50 <= len(numbers) <= 114
    wait_for(lambda: "were lost" in caplog.text, "nobody was told")
    (told,) = re.findall(r"(\d+) lines for the syslog server were lost", caplog.text)
    assert len(numbers) + int(told) == 200


def test_a_server_that_does_not_exist_is_an_error_and_takes_no_time_from_anybody() -> None:
    client = Syslog(f"tcp://127.0.0.1:{free_port()}", "x", ssl.create_default_context)
    with pytest.raises(ConnectionRefusedError):
        client.take(ENTRIES)
    nowhere = Syslog(f"tcp://{'a' * 70}.example:1", "x", ssl.create_default_context)
    with pytest.raises(OSError, match="no host"):
        nowhere.take(ENTRIES)
