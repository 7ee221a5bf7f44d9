"""The original's properties: which mean something here, which are kept, which are left, what is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument, BadConfiguration
from qekm.properties import PROPERTIES
from qekm.takeover.properties import KeySet, Line, Sorted, key_set, parse, sort
from tests.fakes.original import CONFIG

FILE = "KeyManagerConfig.properties"


def fault(text: str) -> str:
    with pytest.raises(BadConfiguration) as caught:
        sort(parse(text.encode("iso-8859-1"), FILE), FILE, {})
    assert "a copy of the directory" in caught.value.advice
    return caught.value.message.removeprefix(f"{FILE}, ")


def sorted_(text: str, **given: str) -> Sorted:
    return sort(parse(text.encode(), FILE), FILE, {name.replace("__", "."): "" for name in given})


def whys(found: Sorted) -> dict[str, str]:
    return {each.name: each.why for each in found.left}


def test_the_familys_rules_hold() -> None:
    text = b"# a comment\n\nTransportListener.tcp.port = 3801\r\n  fips=Off\nAudit.event.types=runtime;none\n"
    assert [(each.number, each.name, each.text) for each in parse(text, FILE)] == [
        (3, "TransportListener.tcp.port", "3801"),
        (4, "fips", "Off"),
        (5, "Audit.event.types", "runtime;none"),
    ]


def test_a_path_of_windows_is_known_as_java_reads_it_and_as_it_stands_there() -> None:
    text = b"a = C\\:\\\\Quantum\\\\EKMKeys.jck\nb = C:\\Quantum\\EKMKeys.jck\n"
    first, second = parse(text, FILE)
    assert first.text == "C:\\Quantum\\EKMKeys.jck"
    assert second.typed == "C:\\Quantum\\EKMKeys.jck"


def test_what_means_something_is_taken_and_what_means_nothing_is_kept() -> None:
    found = sorted_(CONFIG)
    assert found.taken == {
        "Audit.event.outcome": "success,failure",
        "Audit.event.types": "all",
        "Audit.handler.file.name": "kms_audit.log",
        "Audit.handler.file.size": "10000",
        "debug": "none",
        "drive.acceptUnknownDrives": "true",
        "TransportListener.ssl.port": "443",
        "TransportListener.tcp.port": "3801",
    }
    assert {PROPERTIES[name].origin for name in found.kept} == {"kept"}
    assert found.kept["maximum.threads"] == "200"
    names = {line.name for line in parse(CONFIG.encode(), FILE)}
    assert names == {*found.taken, *found.kept, *whys(found), "symmetricKeySet"}


def test_no_password_and_no_place_of_the_old_machine_is_copied() -> None:
    text = "Server.password = a\nmy.Password.x = b\nconfig.drivetable.file.url = FILE:///x\n"
    text += "default.drive.alias1 = cert1\nwhat.is.it = 7\n"
    found = sorted_(text)
    assert (found.taken, found.kept) == ({}, {})
    why = whys(found)
    assert why["Server.password"] == why["my.Password.x"] == "a password is never copied"
    assert "a place on the old machine" in why["config.drivetable.file.url"]
    assert "a key group" in why["default.drive.alias1"]
    assert "none of the product family's" in why["what.is.it"]


def test_whoever_gives_a_property_another_value_decides_whatever_is_there() -> None:
    found = sorted_("TransportListener.tcp.port = 99999\nfips = off\n", TransportListener__tcp__port="3801")
    assert whys(found) == {"TransportListener.tcp.port": "another value was given"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "fips = off\nTransportListener.tcp.port = 99999\n",
            "line 2: TransportListener.tcp.port must be a whole",
        ),
        ("\n\nTransportListener.ssl.port = 44x\n", "line 3: TransportListener.ssl.port must be"),
        ("drive.acceptUnknownDrives = perhaps\n", "line 1: drive.acceptUnknownDrives must be one of"),
        ("fips = off\nfips = on\n", "line 2: fips has another value in line 1"),
        ("fips = off\nTransportListener.ssl.po\n", "line 2: this is not NAME = VALUE"),
        ("fips = off\nServer.password hunter2\n", "line 2: this is not NAME = VALUE"),
        ("fips = off\n = x\n", "line 2: this is not NAME = VALUE"),
        ("fips = o\x1b[2J\n", "line 1: this is not NAME = VALUE"),
        ("fips = off\nTransportListener.ssl.port = 4", "line 2: the last line has no end"),
        ("fips = off\nx = \\u00zz\n", "line 2: "),
        ("fips = off\n\x00\x00\x00\n", "line 2: "),
    ],
)
def test_a_line_that_cannot_be_is_named(text: str, said: str) -> None:
    assert fault(text).startswith(said)


def test_a_password_is_not_told_where_a_line_cannot_be() -> None:
    assert "hunter2" not in fault("Server.password hunter2\n")
    assert "hunter2" not in fault("Server.password = hunter2\nServer.password = hunter3\n")


def test_the_same_twice_is_no_contradiction() -> None:
    assert sorted_("fips = off\nfips=off\n").kept == {"fips": "off"}


def test_a_file_of_this_program_is_no_file_of_the_original() -> None:
    with pytest.raises(BadArgument, match=r"line 1: grpc.port is a property of this program"):
        sorted_("grpc.port = 0\n")


@given(st.binary(max_size=300))
def test_any_bytes_are_properties_or_bad(content: bytes) -> None:
    for tail in (b"", b"\n"):
        with contextlib.suppress(BadConfiguration, BadArgument):
            sort(parse(content + tail, FILE), FILE, {})


# symmetricKeySet.

KEYS = ("key000000000000000001", "key0000000000000000ff", "archive1")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", KeySet()),
        ("tapes", KeySet(group="tapes")),
        ("ARCHIVE1", KeySet(aliases=("ARCHIVE1",))),
        ("KEY000000000000000001", KeySet(aliases=("KEY000000000000000001",))),
        ("KEY000000000000000009", KeySet(aliases=("KEY000000000000000009",))),  # not there, and no group
        ("KEY01-FF", KeySet(aliases=("KEY000000000000000001", "KEY0000000000000000FF"))),
        ("archive1; tapes", KeySet(aliases=("archive1", "tapes"))),
        (
            "KMA0238ab34,THZ001-FF",
            KeySet(aliases=("KMA0238ab34", "THZ000000000000000001", "THZ0000000000000000FF")),
        ),
        (",", KeySet()),
    ],
)
def test_a_key_set_is_one_group_or_keys_and_ranges_of_them(text: str, named: KeySet) -> None:
    assert key_set(text, KEYS) == named


def test_a_line_does_not_show_what_may_be_a_password() -> None:
    assert "hunter2" not in repr(Line(1, "x", "hunter2", "hunter2"))
