"""Every property: read, written back, overridden, refused, changed at run time or waiting for a restart."""

from __future__ import annotations

from pathlib import Path

import javaproperties
import pytest

from qekm.configuration.owner import Configuration
from qekm.configuration.settings import DEFAULT, FILE, FROM_ENVIRONMENT, Settings, amend, write_defaults
from qekm.errors import BadConfiguration
from qekm.properties import NOT_SHOWN, PROPERTIES, Table, is_password
from qekm.properties.client import CLIENT_PROPERTIES

from .examples import CLIENT_EXAMPLES, EXAMPLES, Example

TABLES = {"KeyManagerConfig": PROPERTIES, "ClientKeyManagerConfig": CLIENT_PROPERTIES}
ROWS = [(PROPERTIES, name, example) for name, example in EXAMPLES.items()]
ROWS += [(CLIENT_PROPERTIES, name, example) for name, example in CLIENT_EXAMPLES.items()]
IDS = [f"{'client ' if table is CLIENT_PROPERTIES else ''}{name}" for table, name, _ in ROWS]
each = pytest.mark.parametrize(("table", "name", "example"), ROWS, ids=IDS)


def write(path: Path, text: str) -> Path:
    """Write a file of properties."""
    file = path / "KeyManagerConfig.properties"
    file.write_bytes(text.encode("iso-8859-1"))
    return file


def value_of(name: str, example: Example) -> object:
    """Return the value that settings give: none of a password's."""
    return NOT_SHOWN if is_password(name) else example.value


def test_every_property_has_an_example() -> None:
    assert EXAMPLES.keys() == PROPERTIES.keys()
    assert CLIENT_EXAMPLES.keys() == CLIENT_PROPERTIES.keys()
    assert all(example.bad for example in EXAMPLES.values())


@each
def test_its_default_can_be_read_and_its_help_is_one_line(table: Table, name: str, example: Example) -> None:
    item = table[name]
    item.read(item.default)
    assert item.help.isprintable()
    assert item.help.endswith(".")
    assert 10 <= len(item.help) <= 110
    assert item.default != example.text, "an example of what is so anyhow shows nothing"


@each
def test_it_is_read_from_the_file(tmp_path: Path, table: Table, name: str, example: Example) -> None:
    text = example.text.replace("ä", "\\u00e4")
    settings = Settings.load(write(tmp_path, f"# one\n{name}={text}\n"), {}, table)
    assert settings[name] == value_of(name, example)
    assert settings.source(name) == FILE
    others = [each for each in table if each != name]
    assert all(settings.source(each) == DEFAULT for each in others)
    assert all(settings[each] == table[each].read(table[each].default) for each in others)


@each
def test_the_environment_wins_over_the_file(
    tmp_path: Path, table: Table, name: str, example: Example
) -> None:
    file = write(tmp_path, f"{name}={table[name].default}\n")
    variable = table.variable(name)
    assert "." not in variable
    settings = Settings.load(file, {variable: example.text}, table)
    assert settings[name] == value_of(name, example)
    assert settings.source(name) == FROM_ENVIRONMENT


@each
def test_it_is_written_and_reads_back(tmp_path: Path, table: Table, name: str, example: Example) -> None:
    file = tmp_path / "new.properties"
    write_defaults(file, {name: example.text}, table)
    assert Settings.load(file, {}, table)[name] == value_of(name, example)
    amend(file, {}, [name], table)
    assert Settings.load(file, {}, table).source(name) == DEFAULT
    amend(file, {name: example.text}, (), table)
    assert Settings.load(file, {}, table)[name] == value_of(name, example)
    found = javaproperties.loads(file.read_text("iso-8859-1"))
    assert found[name] == example.text, "a password is kept in the file, too"


@each
def test_a_bad_text_is_refused_with_its_line_and_nothing_is_written(
    tmp_path: Path, table: Table, name: str, example: Example
) -> None:
    good = f"x=1\n\n{name}={table[name].default}\n"
    for text in example.bad:
        escaped = text.encode("unicode_escape").decode().replace("\\x", "\\u00")
        with pytest.raises(BadConfiguration, match=f"line 3: {name} must be") as refused:
            Settings.load(write(tmp_path, f"x=1\n\n{name}={escaped}\n"), {}, table)
        assert refused.value.details == {"property": name, "line": "3"}
        with pytest.raises(BadConfiguration, match=table.variable(name)):
            Settings.load(write(tmp_path, good), {table.variable(name): text}, table)
        file = write(tmp_path, good)
        with pytest.raises(BadConfiguration, match=f"{name} must be"):
            amend(file, {name: text}, (), table)
        assert file.read_text() == good
        assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("name", "example"), EXAMPLES.items(), ids=EXAMPLES)
async def test_it_is_changed_at_run_time_or_waits_for_a_restart(
    tmp_path: Path, name: str, example: Example
) -> None:
    item = PROPERTIES[name]
    file = write(tmp_path, f"{name}={item.default}\n")
    configuration = Configuration(file, Settings.load(file, {}), environ={})
    before = configuration.settings[name]
    changed = await configuration.update({name: example.text})
    assert changed.names == (name,)
    is_live = item.dynamic or item.origin == "kept"
    assert configuration.settings[name] == (value_of(name, example) if is_live else before)
    assert configuration.file[name] == value_of(name, example)
    assert changed.at_restart == (() if is_live else (name,))
    assert bool(changed.notes) is (item.origin == "kept"), "that it means nothing is told"
    told = NOT_SHOWN if is_password(name) else f" -> {example.text}"
    assert told in changed.told[0]
    assert not is_password(name) or "any text" not in changed.told[0]
    await configuration.update({}, [name])
    assert configuration.file.source(name) == DEFAULT
    assert (await configuration.refresh()).names == ()


@pytest.mark.parametrize("name", [name for name in PROPERTIES if is_password(name)])
def test_no_password_is_in_settings(tmp_path: Path, name: str) -> None:
    settings = Settings.load(write(tmp_path, f"{name}=hunter2\nother.password=hunter2\n"), {})
    assert (settings[name], settings.text(name)) == (NOT_SHOWN, NOT_SHOWN)
    assert settings.unknown == {"other.password": NOT_SHOWN}
    assert "hunter2" not in repr(vars(settings))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_no_two_properties_share_a_name_or_a_variable(table: Table) -> None:
    spellings = list(table.spellings())
    assert len({table.variable(name) for name in spellings}) == len(spellings)
    assert len(spellings) == len(table) + sum(len(item.also) for item in table.values())
    assert len(table) > 10
    assert all(table.find(name) is item for name, item in table.items())


def test_what_is_kept_says_why_and_names_what_takes_its_place() -> None:
    kept = [item for item in PROPERTIES.values() if item.origin == "kept"]
    assert len(kept) >= 40
    assert not any(item.dynamic or item.local or item.also for item in kept)
    named = {word for item in kept for word in item.help.replace(",", " ").rstrip(".").split()}
    properties = {word.rstrip(".") for word in named if word.split(".")[0] in {"dkp", "admin", "debug"}}
    assert properties
    assert {name.partition("=")[0] for name in properties} <= PROPERTIES.keys()


def test_nobody_changes_a_file_a_program_or_a_safeguard_from_afar() -> None:
    local = {name for name, item in PROPERTIES.items() if item.local}
    prefixes = ("keystore.", "backup.", "grpc.", "log.syslog", "peers.strict")
    assert {name for name in PROPERTIES if name.startswith(prefixes)} <= local
    files = {"config.drivetable.file.url", "debug.output.file", "Audit.handler.file.directory"}
    assert {*files, "twoPerson", "dkp.tls", "drive.optionalEncryption", "Audit.handler.file.name"} <= local
    family = {"drive.acceptUnknownDrives", "symmetricKeySet", "debug", "TransportListener.ssl.port"}
    assert not local & {*family, "TransportListener.tcp.port", "drive.default.alias1"}


def test_what_all_servers_have_in_common_is_policy_that_is_in_force_at_once() -> None:
    shared = {name: item for name, item in PROPERTIES.items() if item.shared}
    assert shared.keys() == {
        "admin.sessionMinutes",
        "dkp.connectionsPerAddress",
        "dkp.frameTimeout",
        "dkp.idleTimeout",
        "dkp.sessionTimeout",
        "dkp.stepTimeout",
        "drive.acceptUnknownDrives",
        "drive.creationsPerHour",
        "drive.default.alias1",
        "drive.default.alias2",
        "store.scrubHours",
        "symmetricKeySet",
    }
    assert all(item.dynamic and not item.local for item in shared.values())
    assert not any(item.shared for item in CLIENT_PROPERTIES.values())
