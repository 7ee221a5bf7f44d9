"""Alarms to a real mail server and a real HTTPS server, and to such as are slow, refuse, or are not there."""

from __future__ import annotations

import hmac
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.alarms.alarm import Alarm, Severity
from qekm.alarms.digest import Digest
from qekm.alarms.mail import Mail
from qekm.alarms.outlets import MOST, courier_of
from qekm.alarms.undelivered import Undelivered, stage
from qekm.alarms.webhook import Webhook
from qekm.rpc.tls import Files
from qekm.secret import Secret
from tests.fakes.pki import Pki
from tests.qekm.alarms.receivers import HOST, Mails, Posts, mail_server, web_server

EVIL = "E01001L4\r\nBcc: mallory@example.org\r\n\r\nhello"
ALARM = Alarm("key.none", EVIL, Severity.CRITICAL, "a drive writes in clear", EVIL, "qekm drives list", 1, 1)
DIGEST = Digest("a on host", "ab" * 16, 1_769_860_800_000_000, [ALARM])


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki") / "home")


def trusting(files: Files) -> Callable[[], ssl.SSLContext]:
    return lambda: ssl.create_default_context(cafile=files.trust)


def mail(mails: Mails, tls: str, files: Files, user: str = "", word: bytes = b"right") -> Mail:
    to = ("a@example.org", "b@example.org")
    address = HOST, mails.port
    return Mail(address, tls, "q@example.org", to, user, lambda: Secret(word), trusting(files), 5.0)


def hook(posts: Posts, files: Files, path: str = "/hook?team=1") -> Webhook:
    url = f"https://{HOST}:{posts.port}{path}"
    return Webhook(url, lambda: Secret(b"shared"), lambda: 1_769_860_800_000_000, trusting(files), 5.0)


def failure(send: Callable[[], None]) -> tuple[str, str]:
    with pytest.raises(Undelivered) as caught:
        send()
    return caught.value.stage, caught.value.reason


@pytest.mark.parametrize("tls", ["off", "tls", "starttls"])
def test_a_mail_arrives_at_all_receivers_and_nothing_in_it_became_a_header(pki: Pki, tls: str) -> None:
    user = "qekm" if tls == "starttls" else ""
    with mail_server(Mails(), pki.server, tls) as mails:
        mail(mails, tls, pki.server, user).take([DIGEST])
    (found,) = mails.received
    assert mails.receivers == [["a@example.org", "b@example.org"]]
    assert mails.encrypted == [tls != "off"]
    assert mails.logins == ([("qekm", b"right")] if user else [])
    assert found["Bcc"] is None and "mallory" not in found["To"]
    assert "CRITICAL: a drive writes in clear: E01001L4??Bcc" in found.get_content()


def test_a_wrong_password_an_unknown_certificate_and_a_refusal_are_told_with_their_step(
    pki: Pki, tmp_path: Path
) -> None:
    other = Pki(tmp_path / "other")
    with mail_server(Mails(), pki.server, "starttls") as mails:
        step, reason = failure(lambda: mail(mails, "starttls", pki.server, "qekm", b"wrong").take([DIGEST]))
        assert step == "login" and "535" in reason and "wrong" not in reason
        step, reason = failure(lambda: mail(mails, "starttls", other.server, "qekm").take([DIGEST]))
        assert step == "tls" and "CERTIFICATE_VERIFY_FAILED" in reason
        assert set(mails.logins) == {("qekm", b"wrong")}, "no password goes to whom we do not know"
    with mail_server(Mails(refuse="550 not here")) as mails:
        step, reason = failure(lambda: mail(mails, "off", pki.server).take([DIGEST]))
        assert step == "send" and "550" in reason
        step, reason = failure(lambda: mail(mails, "starttls", pki.server).take([DIGEST]))
        assert (step, reason) == ("tls", "the server offers no STARTTLS"), "nothing is sent in clear instead"
    assert not mails.received
    assert failure(lambda: mail(mails, "off", pki.server).take([DIGEST]))[0] == "connect"


def test_who_is_refused_is_named_and_the_others_get_a_mail_once(pki: Pki) -> None:
    with mail_server(Mails(unknown=("b@example.org",))) as mails:
        receiver = mail(mails, "off", pki.server)
        receiver.take([DIGEST])
        assert mails.receivers == [["a@example.org"]] and receiver.remark.endswith(" for b@example.org")
        mails.unknown = ("a@example.org", "b@example.org")
        assert failure(lambda: receiver.take([DIGEST]))[0] == "send", "nobody has it"
        mails.unknown = ()
        receiver.take([DIGEST])
        assert not receiver.remark and len(mails.received) == 2


@pytest.mark.parametrize(("user", "word"), [("qekm", "pässwörd".encode()), ("qëkm", b"right")])
def test_a_password_beyond_ascii_is_in_no_error(pki: Pki, user: str, word: bytes) -> None:
    with mail_server(Mails(), pki.server, "starttls") as mails, pytest.raises(Undelivered) as caught:
        mail(mails, "starttls", pki.server, user, word).take([DIGEST])
    assert caught.value.stage == "login" and caught.value.reason.endswith(" letters beyond ASCII")
    assert caught.value.__cause__ is None and caught.value.__context__ is None and not mails.logins


def test_what_cannot_be_encoded_is_not_repeated() -> None:
    with pytest.raises(Undelivered) as caught, stage("login"):
        "\u20acsecret".encode("ascii")
    assert (caught.value.reason, caught.value.__cause__) == ("UnicodeEncodeError", None)
    assert caught.value.__suppress_context__


def test_no_password_is_sent_in_clear_to_another_machine(pki: Pki) -> None:
    with mail_server(Mails()) as mails:
        to = "off", "q@x.org", ["a@x.org"], "qekm", lambda: Secret(b"right")
        step, reason = failure(lambda: Mail(("127.0.0.1", mails.port), *to).take([DIGEST]))
        assert step == "login" and "AUTH" in reason, "to this machine it may be sent, and nobody asks for it"
        step, reason = failure(lambda: Mail(("0.0.0.0", mails.port), *to).take([DIGEST]))
        assert (step, reason) == ("login", "no password is sent without TLS (alarms.mail.tls)")
    assert not mails.logins


def test_a_post_is_signed_over_time_and_body(pki: Pki) -> None:
    with web_server(Posts(), pki.server) as posts:
        hook(posts, pki.server).take([DIGEST, DIGEST])
    ((headers, body),) = posts.received
    sent = headers["X-QEKM-Timestamp"]
    mac = hmac.digest(b"shared", sent.encode() + b"." + body, "sha256").hex()
    assert headers["X-QEKM-Signature"] == f"sha256={mac}" and sent == "1769860800"
    told = json.loads(body)
    assert (told["schema"], told["server"], told["severity"]) == (1, "a on host", "critical")
    (alarm,) = told["alarms"]
    assert (alarm["event"], alarm["subject"], alarm["count"]) == ("key.none", EVIL, 2)


def test_a_webhook_that_refuses_redirects_or_shows_another_certificate_is_told(
    pki: Pki, tmp_path: Path
) -> None:
    other = Pki(tmp_path / "other")
    for status in (500, 404, 302):
        with web_server(Posts(status), pki.server) as posts:
            step, reason = failure(lambda: hook(posts, pki.server).take([DIGEST]))
            assert step == "answer" and reason.startswith(str(status))
    with web_server(Posts(), pki.server) as posts:
        step, reason = failure(lambda: hook(posts, other.server).take([DIGEST]))
    assert step == "connect" and "CERTIFICATE_VERIFY_FAILED" in reason and not posts.received
    assert failure(lambda: hook(posts, pki.server).take([DIGEST]))[0] == "connect"
    assert hook(posts, pki.server, "/secret-token").name == f"webhook at {HOST}:{posts.port}"


def test_who_does_not_answer_is_not_waited_for_beyond_the_time(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        slow = Mail((HOST, port), "off", "q@x.org", ["a@x.org"], "", lambda: Secret(b""), timeout_s=0.2)
        assert failure(lambda: slow.take([DIGEST]))[0] == "connect"
        posting = Webhook(f"https://{HOST}:{port}/", None, lambda: 0, trusting(pki.server), 0.2)
        assert failure(lambda: posting.take([DIGEST]))[0] == "connect"


def test_of_more_messages_than_there_is_room_for_each_alarm_arrives_once_the_receiver_is_there(
    pki: Pki,
) -> None:
    told = [
        replace(DIGEST, id=f"{n:032x}", alarms=[replace(ALARM, subject=f"E{n}")]) for n in range(MOST + 9)
    ]
    with web_server(Posts(), pki.server) as posts:
        courier = courier_of(hook(posts, pki.server))
        for each in told:
            courier.give(each)
        courier.start()
        courier.close(30.0)
    heard = [alarm["subject"] for _, body in posts.received for alarm in json.loads(body)["alarms"]]
    assert courier.is_idle and heard == [each.alarms[0].subject for each in told]
