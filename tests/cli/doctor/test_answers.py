"""What a service's answers come to, and what is taken out of a bundle: pure, over plain values."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from qekm_cli.doctor import answers, homes, masking
from qekm_cli.doctor.pseudonyms import Pseudonyms

PEER = {
    **{"name": "b", "self": False, "state": "joined", "connected": True, "differences": [], "last_error": ""},
    "heard_time": None,
}


def told(seen: Any) -> list[tuple[str, str]]:
    return [(each.verdict.value, each.told) for each in seen]


def test_gateways_peers_and_keys() -> None:
    assert told(answers.degraded(["a", "READ ONLY, no new keys are given: b"])) == [
        ("warning", "a"),
        ("broken", "READ ONLY, no new keys are given: b"),
    ]
    assert told(answers.gateways([], "0.5.0"))[0][0] == "broken"
    row = {"name": "g", "version": "0.4.0", "addresses": ["[::]:3801"]}
    assert told(answers.gateways([row], "0.5.0"))[0][0] == "broken"
    assert told(answers.gateways([row], "0.4.9"))[0][0] == "ok"
    assert told(answers.peers([])) == [("ok", "this server is the only one of its estate")]
    assert told(answers.peers([PEER]))[0][0] == "ok"
    assert told(answers.peers([PEER | {"connected": False, "last_error": "refused"}]))[0] == (
        "warning",
        "server b is away, last heard of None: refused",
    )
    assert told(answers.peers([PEER | {"differences": ["keys"]}]))[0][0] == "broken"
    group = {"name": "x", "is_default": False, "ready_count": 0, "key_count": 4}
    assert [verdict for verdict, _ in told(answers.keys([group]))] == ["warning", "ok"]
    assert told(answers.keys([group | {"is_default": True}]))[0][0] == "broken"
    assert told(answers.drives(["no drive authority is trusted: x"], 0))[0][0] == "warning"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("grpc.port", "3802", "3802"),
        ("keystore.pkcs11.pinFile", "token.pin", "token.pin"),
        ("alarms.mail.passwordFile", "/etc/qekm/mail.password", "/etc/qekm/mail.password"),
        ("alarms.mail.passwordFile", "mail.password", "(masked)"),  # perhaps the password itself
        ("alarms.webhook.url", "https://hooks.example/T0/secret", "(masked)"),
        ("config.keystore.password", "x", "(masked)"),
        ("config.keystore.password.obfuscated", "x", "(masked)"),
        ("some.secret", "x", "(masked)"),
        ("log.syslog", "tls://logs.example:6514", "tls://logs.example:6514"),
        ("other.url", "https://anna:pw@h.example:1/p?token=x", "https://h.example:1/(masked)"),
        ("backup.command", "/usr/bin/copy --key x", "/usr/bin/copy (masked)"),
        ("backup.command", "/usr/bin/copy", "/usr/bin/copy"),
    ],
)
def test_values_that_let_in_are_masked_and_paths_are_not(name: str, value: str, shown: str) -> None:
    assert masking.shown(name, value) == shown


@pytest.mark.parametrize(
    "line",
    [
        "password=hunter2hunter2",
        'PIN: "4711 4711"',
        "the token is abcdefg",
        "Authorization: Bearer abc.def",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nhunter2, cut off",
        "POST https://hunter2@host/hunter2?hunter2",
        "hunter2" + "ab" * 20,
        "alarms.webhook.url must be https://HOST/PATH, not 'hunter2'",
    ],
)
def test_what_could_open_anything_is_masked_in_logs(line: str) -> None:
    masked = masking.Masker()(f"2026-11-26 info {line}\n")
    secret = re.search(r"hunter2|4711 4711|abcdefg|abc\.def", line)
    assert secret is not None
    assert secret[0] not in masked
    assert masked.startswith("2026-11-26 info ")


def test_what_looks_like_a_key_has_the_same_number_wherever_it_is() -> None:
    masker = masking.Masker()
    one, two = "ab" * 32, "cd" * 32
    assert masker(f"{one} {two} {one.upper()}") == (
        "(64 characters, no. 1) (64 characters, no. 2) (64 characters, no. 1)"
    )


def test_a_file_that_is_no_file_of_properties_is_not_shown() -> None:
    assert "cannot be read" in masking.properties(b"a=\\uZZZZ hunter2")
    assert masking.properties(b"# hunter2\nnobody.knows=hunter2\ngrpc.port=1\n") == (
        "(unknown, 12 characters)=(masked)\ngrpc.port=1\n"
    )
    assert masking.properties(b"hunter2\n") == "(unknown, 7 characters)=\n", "a secret in a line of its own"


def test_the_name_of_a_secrets_file_is_shown_where_there_is_such_a_file() -> None:
    shown = masking.shown("alarms.mail.passwordFile", "mail.password", exists="mail.password".__eq__)
    assert shown == "mail.password"


def test_pseudonyms_are_the_same_everywhere_and_words_of_ours_stay() -> None:
    names = Pseudonyms({"host": ["keys.example.org"], "name": ["anna"]})
    names.learn_from(
        {"records": [{"actor": "operator/bert", "volser": "E01001L4", "drive_serial": "001300000392"}]}
    )
    names.learn_from_text("  volser=E01002L4\n drive HU1319X at 10.1.2.3:40000 and fe80::1, anna@example.org")
    text = names("bert and Bert (operator/bert) used E01001L4 in 001300000392 at keys.example.org: 10.1.2.3")
    assert text == "name-2 and name-2 (operator/name-2) used volser-1 in serial-1 at host-1: host-2"
    assert "E01002L4" not in names("E01002L4")
    assert "HU1319X" not in names("drive HU1319X")
    assert names("administrator default 127.0.0.1 ::1 server 12:30:05") == (
        "administrator default 127.0.0.1 ::1 server 12:30:05"
    )
    assert "example.org" not in names("anna@example.org")
    assert names("annabel") == "annabel"


def test_a_program_that_hangs_is_not_waited_for() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        homes.run_program(["sleep", "600"], 0.1)
