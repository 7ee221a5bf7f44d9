"""listconfig, modconfig, refresh."""

import pytest

from tests.cli.conftest import Outcome, Qekm
from tests.cli.fake_service import FakeService


@pytest.fixture
def ask(qekm: Qekm) -> Qekm:
    """Give a function that asks a service that runs elsewhere."""

    def command(*words: str) -> Outcome:
        return qekm(*words, "--target", "key-manager:3802")

    return command


def test_listconfig_tells_the_values_in_force_and_those_to_come(ask: Qekm, service: FakeService) -> None:
    service.configuration.add("grpc.port=3902")
    lines = ask("listconfig").lines
    assert {
        "TransportListener.tcp.port = 3801",
        "backup.command =",
        "drive.acceptUnknownDrives = pending",
        "drive.creationsPerHour = 60",
    } < set(lines)
    place = lines.index("grpc.port = 3802")
    assert lines[place + 1] == "# after a restart: grpc.port = 3902"
    rows = {row["name"]: row for row in ask("listconfig", "--json").document["properties"]}
    assert rows["debug"]["origin"] == "original"


@pytest.mark.parametrize(
    "words",
    [
        ("-set", "-property", "drive.acceptUnknownDrives", "-value", "true"),
        ("-property", "drive.acceptUnknownDrives", "-value", "true", "-set"),
        ("-set", "drive.acceptUnknownDrives=true"),
    ],
)
def test_modconfig_sets_a_property(ask: Qekm, service: FakeService, words: tuple[str, ...]) -> None:
    assert ask("modconfig", *words).out == "drive.acceptUnknownDrives is true now\n"
    assert "drive.acceptUnknownDrives=true" in service.configuration.file.read_text()


@pytest.mark.parametrize(
    "words", [("-property", "drive.acceptUnknownDrives"), ("drive.acceptUnknownDrives",)]
)
def test_modconfig_lets_a_property_be_its_default(
    ask: Qekm, service: FakeService, words: tuple[str, ...]
) -> None:
    assert ask("modconfig", "-unset", *words).out == "drive.acceptUnknownDrives is its default now\n"
    assert "drive.acceptUnknownDrives" not in service.configuration.file.read_text()


def test_modconfig_tells_what_waits_for_a_restart_and_what_else_is_to_be_known(
    ask: Qekm, service: FakeService
) -> None:
    service.configuration.notes = ["3801 is answered for 10 minutes more"]
    assert ask("modconfig", "-set", "health.port=3902").lines == ["health.port is 3902 after a restart"]
    assert ask("modconfig", "-set", "TransportListener.tcp.port=3903").lines[:2] == [
        "TransportListener.tcp.port is 3903 now",
        "3801 is answered for 10 minutes more",
    ]
    assert ask("modconfig", "-set", "health.port=3904", "--json").document["at_restart"] == ["health.port"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give either -set or -unset"),
        (("-set", "-unset", "-property", "debug"), "give either -set or -unset"),
        (("-set",), "name the property once"),
        (("-set", "-property", "debug", "debug=all"), "name the property once"),
        (("-set", "-property", "debug"), "-set takes a value"),
        (("-set", "debug"), "-set takes a value"),
        (("-unset", "-property", "debug", "-value", "all"), "-unset takes none"),
        (("-unset", "debug=all"), "-unset takes none"),
        (("-set", "-value", "all"), "name the property once"),
    ],
)
def test_modconfig_refuses_what_makes_no_sense(
    ask: Qekm, service: FakeService, words: tuple[str, ...], told: str
) -> None:
    ended = ask("modconfig", *words)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert service.configuration.updates == []


def test_an_empty_value_is_one(ask: Qekm, service: FakeService) -> None:
    assert ask("modconfig", "-set", "-property", "sync.type", "-value", "").code == 0
    assert dict(service.configuration.updates[0].set) == {"sync.type": ""}
    assert ask("modconfig", "-set", "sync.type=a=b").code == 0
    assert dict(service.configuration.updates[1].set) == {"sync.type": "a=b"}


def test_what_the_service_refuses_is_told_with_what_to_do(ask: Qekm) -> None:
    told = ask("modconfig", "-set", "no.such=1")
    assert (told.code, "qekm config list" in told.err) == (3, True)
    told = ask("modconfig", "-set", "backup.command=rm")
    assert (told.code, "qekm-server config set" in told.err) == (6, True)


def test_refresh_reads_the_file_again(ask: Qekm, service: FakeService) -> None:
    assert ask("refresh").out == "nothing has changed\n"
    service.configuration.notes = ["a note"]
    service.configuration.add("debug=all\ngrpc.port=3902")
    assert ask("refresh").lines == [
        "changed: grpc.port, debug",
        "in force after a restart: grpc.port",
        "a note",
    ]
    service.configuration.add("health.port=3904")
    assert ask("refresh", "--json").document["changed"] == ["health.port"]
