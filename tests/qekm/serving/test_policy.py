"""What the configuration says about serving drives."""

from __future__ import annotations

from qekm.claim import Accept
from qekm.config import Settings
from qekm.serving.policy import Policy, policy_of


def test_the_defaults_of_the_configuration_are_those_of_the_policy() -> None:
    assert policy_of(Settings({}, {})) == Policy()


def test_every_property_that_serving_knows_is_read() -> None:
    values = {
        "drive.acceptUnknownDrives": "pending",
        "drive.optionalEncryption": "clear",
        "drive.creationsPerHour": 7,
        "dkp.sessionTimeout": 9,
        "dkp.connectionsPerAddress": 11,
    }
    assert policy_of(values) == Policy(Accept.PENDING, True, 7, 9_000_000, 11)
