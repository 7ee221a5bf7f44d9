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
    ):
        assert masking.words(line) == line
    told = json.loads(masking.words('{"user": "anna", "password": "x", "count": 1}'))
    assert told == {"user": "anna", "password": masking.MASKED, "count": 1}
