"""A property file is read exactly, or refused with the property and the line."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.configuration.settings import Settings, amend, amendment, write_defaults
from qekm.errors import BadConfiguration, UnknownProperty
from qekm.properties import PROPERTIES
from qekm.properties.lines import FIRST, explained
from qekm.properties.logs import EVENT_TYPES


def _load(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_bytes(text.encode("iso-8859-1"))
    return Settings.load(path, environ)


def test_what_is_not_set_has_its_default(tmp_path: Path) -> None:
    settings = _load(tmp_path, "no.such=1\n")
    assert {name: settings[name] for name, item in PROPERTIES.items() if item.origin == "ours"} == {
        "TransportListener.tcp.host": ("::",),
        "TransportListener.tcp.drainMinutes": 10,
        "TransportListener.ssl.host": "::",
        "TransportListener.ssl.gateways": "off",
        "gateway.services": ("local",),
        "admin.sessionMinutes": 15,
        "dkp.tls": "optional",
        "dkp.connectionsPerAddress": 64,
        "dkp.frameTimeout": 30,
        "dkp.stepTimeout": 30,
        "dkp.sessionTimeout": 120,
        "dkp.idleTimeout": 300,
        "grpc.port": 3802,
        "grpc.host": "127.0.0.1",
        "grpc.reflection": False,
        "health.port": 0,
        "metrics.port": 9464,
        "gateway.metrics.port": 9465,
        "drive.creationsPerHour": 120,
        "drive.optionalEncryption": "create",
        "store.scrubHours": 24,
        "twoPerson": "on",
        "keystore.protect": "auto",
        "peers.waitMilliseconds": 250,
        "peers.strict": "off",
        "peers.awayMinutes": 60,
        "peers.lagSeconds": 60,
        "backup.target": "",
        "backup.sameDisk": False,
        "backup.command": "",
        "backup.commandTimeout": 3600,
        "keystore.destroyDays": 7,
        "keystore.slot": "key-file",
        "keystore.anchor": "anchor",
        "keystore.keyFile": "root.key",
        "keystore.pkcs11.module": "",
        "keystore.pkcs11.token": "qekm",
        "keystore.pkcs11.key": "qekm-root",
        "keystore.pkcs11.pinFile": "token.pin",
        "log.format": "text",
        "log.level": "info",
        "log.syslog": "",
        "log.syslog.trust": "",
        "log.syslog.certificate": "",
        "log.syslog.key": "",
        "log.journald": False,
        "alarms.level": "warning",
        "alarms.repeatHours": 24,
        "alarms.diskMegabytes": 512,
        "alarms.mail.server": None,
        "alarms.mail.tls": "starttls",
        "alarms.mail.trust": "",
        "alarms.mail.user": "",
        "alarms.mail.passwordFile": "",
        "alarms.mail.from": "",
        "alarms.mail.to": (),
        "alarms.webhook.url": "",
        "alarms.webhook.secretFile": "",
        "alarms.webhook.trust": "",
        "tracing.endpoint": "",
        "tracing.sample": 100,
        "tracing.trust": "",
    }
    assert {name: settings[name] for name, item in PROPERTIES.items() if item.origin == "original"} == {
        "TransportListener.tcp.port": 3801,
        "TransportListener.ssl.port": 443,
        "drive.acceptUnknownDrives": "true",
        "drive.default.alias1": "",
        "drive.default.alias2": "",
        "symmetricKeySet": "default",
        "config.drivetable.file.url": "",
        "Audit.event.types": frozenset(EVENT_TYPES),
        "Audit.event.outcome": frozenset({"success", "failure"}),
        "Audit.handler.file.directory": "keymanager/audit",
        "Audit.handler.file.name": "kms_audit.log",
        "Audit.handler.file.size": 10_000,
        "debug": frozenset(),
        "debug.output.file": "keymanager/debug_server",
    }


def test_values_are_read_in_the_notation_of_java(tmp_path: Path) -> None:
    settings = _load(
        tmp_path,
        "! a comment\r\nTransportListener.tcp.port : 0\n\n  grpc.host=\\\n   127.0.0.2  \n"
        "TransportListener.tcp.host=192.0.2.1, ::1,tape.example\nsymmetricKeySet B\\u00e4nder\n"
        "drive.acceptUnknownDrives=Pending\ngrpc.reflection=TRUE\n",
    )
    assert settings["TransportListener.tcp.port"] == 0
    assert settings["grpc.host"] == "127.0.0.2"
    assert settings["TransportListener.tcp.host"] == ("192.0.2.1", "::1", "tape.example")
    assert settings["symmetricKeySet"] == "Bänder"
    assert settings["drive.acceptUnknownDrives"] == "pending"
    assert settings["grpc.reflection"] is True


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("grpc.port=65536", "whole number from 0 to 65,535"),
        ("grpc.port=-1", "whole number"),
        ("grpc.port=", "whole number"),
        ("grpc.port=3_802", "whole number"),
        ("grpc.port=\u00b2", "whole number"),
        ("grpc.port=" + "9" * 5000, "whole number"),
        ("dkp.frameTimeout=0", "whole number from 1"),
        ("grpc.reflection=yes", "true, false"),
        ("drive.acceptUnknownDrives=perhaps", "true, false, pending"),
        ("keystore.protect=peers", "auto, peer, backup, peer+backup, none"),
        ("keystore.slot=shares", "key-file, password, pkcs11"),
        ("keystore.pkcs11.module=a\\nb", "control characters"),
        ("grpc.host=a b", "address or a host name"),
        ("grpc.host=", "address or a host name"),
        ("TransportListener.tcp.host=::1,,::2", "addresses"),
        ("symmetricKeySet=a\\nb", "control characters"),
        ("symmetricKeySet=", "text"),
        ("x=\\u12g4", "escape"),
    ],
)
def test_a_bad_line_is_named_with_what_would_be_right(tmp_path: Path, wrong: str, right: str) -> None:
    with pytest.raises(BadConfiguration, match=r"line 4") as refused:
        _load(tmp_path, f"# one\n\nfirst=1\n{wrong}\n")
    assert right in refused.value.message
    assert refused.value.details["line"] == "4"
    assert refused.value.details["property"] == (
        "" if wrong.startswith("x") else wrong.split("=", maxsplit=1)[0]
    )
    assert len(refused.value.message) < 300


def test_lines_are_counted_through_continuations(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration) as refused:
        _load(tmp_path, "other=a\\\n  b\\\r\n  c\n\ngrpc.port=x\n")
    assert refused.value.details["line"] == "5"


def test_a_property_that_is_set_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"line 3: grpc\.port is set already in line 1"):
        _load(tmp_path, "grpc.port=1\n\ngrpc.port=2\n")


def test_an_unknown_property_is_kept_and_not_logged_at_every_look(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        settings = _load(tmp_path, "Audit.handler.file.colour=10000\n")
    assert settings.unknown == {"Audit.handler.file.colour": "10000"}
    assert caplog.records == []
    with pytest.raises(KeyError):
        settings["Audit.handler.file.colour"]


def test_the_environment_wins_and_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    settings = _load(tmp_path, "grpc.port=1\n", QEKM_PROPERTY_grpc_port="2", QEKM_PROPERTY_nonsense="3")
    assert settings["grpc.port"] == 2
    with pytest.raises(BadConfiguration, match="QEKM_PROPERTY_dkp_tls") as refused:
        _load(tmp_path, "no.such=1\n", QEKM_PROPERTY_dkp_tls="no")
    assert refused.value.details["property"] == "dkp.tls"


def test_what_the_file_says_is_known_where_the_environment_wins(tmp_path: Path) -> None:
    settings = _load(tmp_path, "grpc.port=1\nServer.password=x\n", QEKM_PROPERTY_grpc_port="2")
    for each in (settings, settings.copy()):
        assert each.in_file == {"grpc.port": "1", "Server.password": "(not shown)"}
        assert each["grpc.port"] == 2


@pytest.mark.parametrize(
    ("text", "environ", "names"),
    [
        ("health.port=3801\n", {}, ["TransportListener.tcp.port", "health.port"]),
        ("grpc.port=443\n", {}, ["TransportListener.ssl.port", "grpc.port"]),
        ("grpc.port=7\nhealth.port=7\n", {}, ["grpc.port", "health.port"]),
        ("grpc.port=7\n", {"QEKM_PROPERTY_health_port": "7"}, ["grpc.port", "health.port"]),
    ],
)
def test_two_listeners_on_one_port_are_refused_and_both_named(
    tmp_path: Path, text: str, environ: dict[str, str], names: list[str]
) -> None:
    with pytest.raises(BadConfiguration, match="must differ") as refused:
        _load(tmp_path, text, **environ)
    assert all(name in refused.value.message for name in names)
    assert refused.value.details["property"] == names[1]
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("# mine\n")
    values = dict(line.split("=") for line in text.splitlines())
    if not environ:
        for act in (amend, write_defaults):
            with pytest.raises(BadConfiguration, match="must differ"):
                act(path, values)
        assert path.read_text() == "# mine\n"
    free = "grpc.port=0\nhealth.port=0\nTransportListener.ssl.port=0\n"
    assert _load(tmp_path, free)["health.port"] == 0


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"gone\.properties"):
        Settings.load(tmp_path / "gone.properties", {})


def test_a_written_file_reads_back_and_explains_itself(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    write_defaults(
        path, {"grpc.port": "0", "symmetricKeySet": "Bänder #1", "TransportListener.tcp.host": "::1"}
    )
    settings = Settings.load(path, {})
    assert (settings["grpc.port"], settings["symmetricKeySet"]) == (0, "Bänder #1")
    assert settings["TransportListener.tcp.host"] == ("::1",)
    assert settings.unknown == {}
    text = path.read_text("iso-8859-1")
    told = {name for name, item in PROPERTIES.items() if f"\n{name}=" in text and item.help in text}
    assert told == {name for name, item in PROPERTIES.items() if item.origin != "kept"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("bad", [{"grpc.port": "x"}, {"no.such.property": "1"}])
def test_a_file_that_could_not_be_read_back_is_not_written(tmp_path: Path, bad: dict[str, str]) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("grpc.port=7\n")
    with pytest.raises((BadConfiguration, UnknownProperty)) as refused:
        write_defaults(path, bad)
    assert refused.value.details["property"] in bad
    assert path.read_text() == "grpc.port=7\n"
    assert list(tmp_path.iterdir()) == [path]


# What is no whole file.


def test_a_file_that_was_cut_off_anywhere_is_refused_and_a_whole_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    write_defaults(path, {"symmetricKeySet": "Bänder", "backup.target": "C:\\x"})
    whole = path.read_bytes()
    Settings.parse(whole, path.name, {})
    Settings.parse(whole.rstrip(), path.name, {})  # an editor's habit
    Settings.parse(whole + b"sync.type=all\n", path.name, {})  # added by hand, behind the end
    for length in [*range(0, len(whole) - 8, 37), *range(len(whole) - 80, len(whole) - 1)]:
        with pytest.raises(BadConfiguration, match=r"line|cut off"):
            Settings.parse(whole[:length], path.name, {})


def test_an_end_that_goes_on_a_value_is_none(tmp_path: Path) -> None:
    swallowed = f"{FIRST}sync.type=all\\\n# End.\n"
    with pytest.raises(BadConfiguration, match="was cut off"):
        Settings.parse(swallowed.encode(), "some.properties", {})
    assert Settings.parse(f"{swallowed}# End.\n".encode(), "x", {}).text("sync.type") == "all# End."


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("behind", ["", "sync.type=all\n", "sync.type=all"])
def test_line_ends_are_kept_and_the_end_stays_last(ending: str, behind: str) -> None:
    before = f"{FIRST}# mine\ngrpc.port=1\n# End.\n{behind}".replace("\n", ending).encode()
    after = amendment(before, "x", {"grpc.port": "2", "fips": "on"}).decode()
    added = f"{behind.rstrip()}\n" if behind else ""
    wanted = f"{FIRST}# mine\ngrpc.port=2\n{added}fips=on\n# End.\n"
    assert after == wanted.replace("\n", ending)


def test_a_file_of_both_line_ends_is_left_so() -> None:
    assert amendment(b"fips=on\r\n# b\n", "x", {"grpc.port": "2"}) == b"fips=on\r\n# b\ngrpc.port=2\n"


def test_one_that_was_cut_off_tells_where_the_version_before_is(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    write_defaults(path, {})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadConfiguration, match="was cut off after line") as refused:
        Settings.load(path, {})
    assert ".1 in its name" in refused.value.advice
    with pytest.raises(BadConfiguration, match="was cut off"):
        amend(path, {"grpc.port": "1"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cut off after line 0"),
        (b"grpc.port=1\nbackup.target=a\\", "cut off after line 2"),
        (b"grpc.port=1\n\x00\x00\x00\x00", "line 2: these bytes cannot be in it"),
        ("grpc.port=1\n".encode("utf-16"), "line 1: these bytes cannot be in it"),
        (b"\xef\xbb\xbfgrpc.port=1\n", "line 1: these bytes cannot be in it"),
        (b"x=1\nsymmetricKeySet=B\xc3\xa4nder\n", "line 2: this line is UTF-8"),
        (b"x=1\n" * 300_000, "more than 1,048,576 bytes"),
    ],
)
def test_bytes_that_no_whole_file_has_are_refused(content: bytes, told: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(told)):
        Settings.parse(content, "some.properties", {})
    good = b"# \xc3\xa4 in a remark\nsymmetricKeySet=B\xe4nder\\\\\n\xef=1\n"
    assert Settings.parse(good, "some.properties", {})["symmetricKeySet"] == "Bänder\\"


@settings(deadline=None)  # a busy machine
@given(st.binary(max_size=200))
def test_whatever_the_bytes_only_our_own_error_is_raised(content: bytes) -> None:
    for each in (content, b"grpc.port=1\n" + content, FIRST.encode() + content):
        with contextlib.suppress(BadConfiguration):
            Settings.parse(each, "some.properties", {})


SEEN = st.text().map(lambda text: "".join(each for each in text if each.isprintable() or each == "\t"))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["config.keystore.file", "sync.ipaddress", "fips"]), SEEN))
def test_whatever_is_set_reads_back(values: dict[str, str]) -> None:
    text = explained(PROPERTIES, {})
    after = amendment(text.encode(), "some.properties", values)
    found = Settings.parse(after, "some.properties", {})
    assert {name: found.text(name) for name in values} == {
        name: value.strip() for name, value in values.items()
    }
    again = amendment(after, "some.properties", {}, values)
    assert again.decode() == text


# One property under two names.


def test_both_spellings_may_be_there_if_they_say_the_same(tmp_path: Path) -> None:
    both = "default.drive.alias1=a\n# x\ndrive.default.alias1=a\n"
    assert _load(tmp_path, both)["drive.default.alias1"] == "a"
    amend(tmp_path / "KeyManagerConfig.properties", {"default.drive.alias1": "b"})
    written = (tmp_path / "KeyManagerConfig.properties").read_text()
    assert written == both.replace("=a", "=b")
    amend(tmp_path / "KeyManagerConfig.properties", {"grpc.port": "1"}, ["drive.default.alias1"])
    assert (tmp_path / "KeyManagerConfig.properties").read_text() == "# x\ngrpc.port=1\n"


def test_the_file_keeps_its_own_spelling(tmp_path: Path) -> None:
    settings = _load(tmp_path, "default.drive.alias2 = a\n")
    assert (settings["drive.default.alias2"], settings.source("drive.default.alias2")) == ("a", "file")
    amend(tmp_path / "KeyManagerConfig.properties", {"drive.default.alias2": "b"})
    assert (tmp_path / "KeyManagerConfig.properties").read_text() == "default.drive.alias2=b\n"


def test_two_spellings_with_two_values_are_refused_with_both_lines(tmp_path: Path) -> None:
    told = "line 3: drive.default.alias1 is default.drive.alias1, which line 1 sets to another value"
    with pytest.raises(BadConfiguration, match=re.escape(told)):
        _load(tmp_path, "default.drive.alias1=a\n\ndrive.default.alias1=b\n")
    with pytest.raises(BadConfiguration, match="another value"):
        _load(
            tmp_path,
            "x=1\n",
            QEKM_PROPERTY_default_drive_alias1="a",
            QEKM_PROPERTY_drive_default_alias1="b",
        )
    _load(tmp_path, "grpc.port=1\n")
    for values in ({"default.drive.alias1": "a", "drive.default.alias1": "b"},):
        with pytest.raises(BadConfiguration, match="another value"):
            amend(tmp_path / "KeyManagerConfig.properties", values)
    with pytest.raises(BadConfiguration, match="set and unset at once"):
        amend(
            tmp_path / "KeyManagerConfig.properties",
            {"default.drive.alias1": "a"},
            ["drive.default.alias1"],
        )


# Amending.


def test_a_property_is_set_and_everything_else_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    text = "# mine\ngrpc.port : 1\n\nsome.other=x \\\n  y\nsymmetricKeySet=B\u00e4nder\n"
    path.write_bytes(text.encode("iso-8859-1"))
    amend(path, {"grpc.port": "0", "backup.target": "/mnt/b: \u00e4"})
    written = path.read_bytes().decode("iso-8859-1")
    assert written.startswith("# mine\ngrpc.port")
    assert "\nsome.other=x \\\n  y\n" in written
    settings = Settings.load(path, {})
    assert (settings["grpc.port"], settings["backup.target"]) == (0, "/mnt/b: \u00e4")
    assert settings["symmetricKeySet"] == "B\u00e4nder"
    assert settings.unknown == {"some.other": "x y"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_set_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("grpc.port=1\n")
    for overrides in ({"grpc.port": "x"}, {"no.such": "1"}):
        with pytest.raises((BadConfiguration, UnknownProperty)):
            amend(path, overrides)
    assert path.read_text() == "grpc.port=1\n"


def test_the_version_before_is_kept_and_of_all_versions_only_that(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("grpc.port=1\n")
    for port in (2, 3):
        before = path.read_text()
        amend(path, {"grpc.port": str(port)})
        assert path.with_name(f"{path.name}.1").read_text() == before
    assert len(list(tmp_path.iterdir())) == 2
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in tmp_path.iterdir())


def test_a_broken_line_is_put_right_and_an_unknown_property_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    path.write_text("grpc.port=x\nno.such=1\nhealth.port=2\n")
    with pytest.raises(BadConfiguration, match="line 1"):
        amend(path, {"health.port": "3"})
    amend(path, {"grpc.port": "1"}, ["no.such"])
    assert path.read_text() == "grpc.port=1\nhealth.port=2\n"
    with pytest.raises(UnknownProperty):
        amend(path, {}, ["no.such"])


def test_what_is_set_goes_before_the_end_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "KeyManagerConfig.properties"
    write_defaults(path, {})
    amend(path, {"sync.type": "all"})
    assert path.read_text().endswith("sync.type=all\n# End.\n")
    amend(path, {}, ["sync.type"])
    assert path.read_text() == explained(PROPERTIES, {})
    path.write_text("grpc.port=1\n")
    amend(path, {}, ["grpc.port"])  # the last one
    assert Settings.load(path, {})["grpc.port"] == 3802


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    real, path = tmp_path / "etc" / "real", tmp_path / "KeyManagerConfig.properties"
    real.write_text("grpc.port=1\n")
    path.symlink_to(real)
    amend(path, {"grpc.port": "2"})
    assert path.is_symlink()
    assert real.read_text() == "grpc.port=2\n"
