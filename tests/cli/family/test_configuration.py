"""listconfig, modconfig, refresh."""

import pytest

from qekm.v1 import configuration_pb2 as pb
from tests.cli.conftest import Outcome, Qekm
from tests.cli.fake_service import FakeService


@pytest.fixture
def ask(qekm: Qekm) -> Qekm:
    """Give a function that asks a service that runs elsewhere."""

    def command(*words: str) -> Outcome:
        return qekm(*words, "--target", "key-manager:3802")

    return command


def test_listconfig_tells_the_values_in_force_and_those_to_come(ask: Qekm, service: FakeService) -> None:
    service.configuration.properties["grpc.port"].pending_value = "3902"
    assert ask("listconfig").lines == [
        "TransportListener.tcp.port = 3801",
        "backup.command =",
        "debug = none",
        "drive.acceptUnknownDrives = pending",
        "drive.optionalEncryption = clear",
        "grpc.port = 3802",
        "# after a restart: grpc.port = 3902",
    ]
    assert ask("listconfig", "--json").document["properties"][0]["origin"] == "original"


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
    assert service.configuration.properties["drive.acceptUnknownDrives"].value == "true"


@pytest.mark.parametrize(
    "words", [("-property", "drive.acceptUnknownDrives"), ("drive.acceptUnknownDrives",)]
)
def test_modconfig_lets_a_property_be_its_default(
    ask: Qekm, service: FakeService, words: tuple[str, ...]
) -> None:
    service.configuration.properties["drive.acceptUnknownDrives"].value = "false"
    assert ask("modconfig", "-unset", *words).out == "drive.acceptUnknownDrives is its default now\n"
    assert service.configuration.properties["drive.acceptUnknownDrives"].value == "true"


def test_modconfig_tells_what_waits_for_a_restart_and_what_else_is_to_be_known(
    ask: Qekm, service: FakeService
) -> None:
    service.configuration.notes = ["3801 is answered for 10 minutes more"]
    assert ask("modconfig", "-set", "grpc.port=3902").lines == [
        "grpc.port is 3902 after a restart",
        "3801 is answered for 10 minutes more",
    ]
    document = ask("modconfig", "-unset", "-property", "grpc.port", "--json").document
    assert document["at_restart"] == ["grpc.port"]


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
    assert ask("modconfig", "-set", "-property", "debug", "-value", "").code == 0
    assert dict(service.configuration.updates[0].set) == {"debug": ""}
    assert ask("modconfig", "-set", "debug=a=b").code == 0
    assert dict(service.configuration.updates[1].set) == {"debug": "a=b"}


def test_what_the_service_refuses_is_told_with_what_to_do(ask: Qekm) -> None:
    told = ask("modconfig", "-set", "no.such=1")
    assert (told.code, "qekm config list" in told.err) == (3, True)
    told = ask("modconfig", "-set", "backup.command=rm")
    assert (told.code, "qekm-server config set" in told.err) == (6, True)


def test_refresh_reads_the_file_again(ask: Qekm, service: FakeService) -> None:
    assert ask("refresh").out == "nothing has changed\n"
    service.configuration.refreshed = pb.RefreshConfigurationResponse(
        changed=["debug", "grpc.port"], at_restart=["grpc.port"], notes=["a note"]
    )
    assert ask("refresh").lines == [
        "changed: debug, grpc.port",
        "in force after a restart: grpc.port",
        "a note",
    ]
    assert ask("refresh", "--json").document["changed"] == ["debug", "grpc.port"]
