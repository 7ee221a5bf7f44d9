"""What is masked whatever was asked for: each form in which a log could tell a password."""

from __future__ import annotations

import json
import secrets

import pytest

from qekm_cli.doctor import masking
from tests.faults.canary import Canaries

# Ways in which a log could tell a password: lines of JSON, attributes, words of a command, with spaces.
SPOKEN = (
    "password={}",
    "password: {}",
    "the password is {}",
    '{{"user": "anna", "password": "{}", "count": 1}}',
    '{{"user": "anna", "password": "a \\" b {}"}}',
    '{{"message": "{{\\"password\\": \\"{}\\"}}"}}',
    "{{'apiKey': '{}'}}",
    "mailPassword={}",
    "db_password={}",
    "userPin={}",
    "started with --password {} --lines 3",
    "started with ['--mail-password', '{}']",
    "password=first second {}",
    "Authorization: Digest username=anna, response={}",
    "Cookie: theme=dark; session={}",
    'https://u:pa"{}@h/x',
    "https://u:pa/{}@h/x",
    "curl -u user:{} h",
    "curl --user 'user:a {}' h",
    "sent bearer {}",
    "pw={}",
    "kennwort={}",
    "the password was {}",
)


@pytest.mark.parametrize("spoken", SPOKEN)
def test_a_password_that_a_log_tells_is_masked_in_every_form(spoken: str) -> None:
    password = secrets.token_urlsafe(18)
    canaries = Canaries({"password": password.encode()})
    line = spoken.format(password) + "\nthe next line stays\n"
    assert [*canaries.search(line.encode(), "the log")]
    masked = masking.words(line)
    assert not [*canaries.search(masked.encode(), "the log")], masked
    assert masked.endswith("\nthe next line stays\n")


def test_what_only_names_a_password_stays_and_a_line_of_json_stays_one() -> None:
    for line in (
        "qekm login --command-password-file FILE",
        "alarms.mail.passwordFile=mail.password",
        "spin=3",
        "journalctl -u qekm-server: pin 3 of the connector",
        '{"url":"https://h:443","mail":"anna@h"}',
    ):
        assert masking.words(line) == line
    told = json.loads(masking.words('{"user": "anna", "password": "x", "count": 1}'))
    assert told == {"user": "anna", "password": masking.MASKED, "count": 1}


@pytest.mark.parametrize("spoken", ["PIN {}", "the pin was {}"])
def test_a_pin_of_digits_is_masked_with_nothing_but_a_space_before_it(spoken: str) -> None:
    assert "123456" not in masking.words(spoken.format("123456"))


@pytest.mark.parametrize(("size", "between"), [(1, ":"), (1, " "), (2, " "), (4, " "), (4, "-"), (4, ":")])
def test_hex_in_groups_is_masked_as_one_key(size: int, between: str) -> None:
    made = secrets.token_bytes(32).hex(between, size)
    assert masking.Masker()(f"key {made}.\n") == f"key ({len(made)} characters, no. 1).\n"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("keystore.pkcs11.pinFile", "123456"),
        ("alarms.mail.passwordFile", "hunter2"),
        ("keystore.keyFile", "00112233445566778899aabbccddeeff"),
    ],
)
def test_a_secret_in_the_place_of_its_files_name_is_masked(name: str, secret: str) -> None:
    assert masking.properties(f"{name}={secret}\n".encode()) == f"{name}={masking.MASKED}\n"
    for kept in ("/etc/qekm/pin", "credential:pin"):
        assert masking.properties(f"{name}={kept}\n".encode()) == f"{name}={kept}\n"
    there = masking.properties(f"{name}=a.pin\n".encode(), exists=lambda value: value == "a.pin")
    assert there == f"{name}=a.pin\n"


def test_a_secret_in_a_line_of_its_own_is_no_name() -> None:
    assert masking.properties(b"hunter2\n") == "(unknown, 7 characters)=\n"
    assert "hunter2" not in masking.words("KeyManagerConfig.properties: there is no property hunter2")


def test_times_and_addresses_are_no_keys() -> None:
    for line in ("2026-11-26 20:18:59 12-34", "2001:0db8:0000:0000:0000:0000:0000:0001", "00:1a:2b:3c:4d:5e"):
        assert masking.Masker()(line) == line
