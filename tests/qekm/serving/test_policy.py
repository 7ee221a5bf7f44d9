"""What the configuration says about serving drives."""

from __future__ import annotations

from qekm.claim import Accept
from qekm.configuration.settings import Settings
from qekm.dkp.fields import MessageType
from qekm.properties import PROPERTIES
from qekm.serving.policy import NAMES, Policy, policy_of
from tests.fakes.drive import OPTIONAL
from tests.fakes.estate import Estate


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


def test_another_policy_is_in_force_for_the_next_step() -> None:
    estate = Estate()
    drive = estate.drive()
    under_way = estate.begin(drive.session())
    estate.serving.configure(Policy(Accept.FALSE))
    assert estate.refused(drive.session().notify()) == "EF01"
    assert estate.refused(under_way.reply_dsk()) == "EF01", "also for one that is under way"
    estate.serving.configure(Policy(Accept.PENDING))
    assert estate.refused(estate.begin(drive.session()).reply_dsk()) == "EF01"
    estate.registry.accept(drive.serial)
    estate.serving.configure(Policy(creations_per_hour=1))
    estate.run(drive.session())
    assert estate.refused(estate.begin(drive.session()).reply_dsk()) == "EE34"
    estate.serving.configure(Policy(creations_per_hour=2))
    estate.run(drive.session())
    estate.serving.configure(Policy(sessions_per_source=1))
    estate.begin(drive.session())
    assert estate.refused(drive.session().notify()) != ""


def test_whoever_may_leave_it_to_us_gets_a_key_or_none_as_it_is_said_now() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session(ask=OPTIONAL))
    estate.serving.configure(Policy(clear_when_optional=True))
    reply = estate.ask(estate.begin(drive.session(ask=OPTIONAL)).reply_dsk())
    assert reply.type == MessageType.NO_KEY


def test_the_names_are_those_of_the_properties_that_are_read() -> None:
    read: list[str] = []

    class Noting(dict[str, object]):
        def __getitem__(self, name: str) -> object:
            read.append(name)
            return PROPERTIES[name].read(PROPERTIES[name].default)

    policy_of(Noting())
    assert sorted(read) == sorted(NAMES)
    assert all(PROPERTIES[name].dynamic for name in NAMES)
