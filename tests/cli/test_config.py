"""`qekm config` against a service in memory; of a stopped service `qekm-server config` does it."""

import json
from pathlib import Path

import pytest

from qekm.home import Home
from qekm.properties.listeners import TCP_PORT as TCP

from .conftest import Qekm
from .fake_service import FakeService
from .installation import Installation

RATE = "drive.creationsPerHour"  # of which the environment of the service in memory says 60
FAR = ("--target", "t:1")
TELL = """
print("told", *sys.argv[1:])
sys.exit(3 if "no.such=1" in sys.argv else 0)
"""


@pytest.fixture
def stopped(tmp_path: Path) -> Home:
    """Give a home whose service does not run."""
    home = Home(tmp_path / "home")
    home.store_directory.mkdir(parents=True)
    home.store.touch()
    home.config.write_text(f"{TCP}=3900\nmy.own=x\nfips=on\n")
    return home


def test_list_shows_values_where_they_are_from_and_when_a_change_counts(qekm: Qekm) -> None:
    told = qekm("config", "list", *FAR)
    assert told.lines[0].split() == ["NAME", "FROM", "WHOSE", "CHANGED", "VALUE"]
    rows = {line.split()[0]: line.split()[1:] for line in told.lines[1:]}
    assert rows[TCP] == ["default", "original", "at", "once", "3801"]
    assert rows["health.port"] == ["default", "ours", "by", "restart", "0"]
    changed = qekm("config", "list", "--changed", *FAR, "--json").document["properties"]
    assert [row["name"] for row in changed] == ["drive.acceptUnknownDrives", RATE]
    assert len(qekm("config", "list", TCP, "debug", *FAR).lines) == 3
    told = qekm("config", "list", "no.such", *FAR)
    assert (told.code, "qekm config list" in told.err) == (3, True)


def test_get_prints_values_alone(qekm: Qekm) -> None:
    assert qekm("config", "get", TCP, "debug", *FAR).out == "3801\nnone\n"
    assert qekm("config", "get", TCP, *FAR, "--json").document["properties"][0]["value"] == "3801"
    assert qekm("config", "get", "no.such", *FAR).code == 3


def test_set_says_when_it_counts_what_the_service_notes_and_what_is_left_to_do(
    qekm: Qekm, service: FakeService
) -> None:
    service.configuration.notes = ["drives are still answered on port 3801 for 10 min"]
    told = qekm("config", "set", f"{TCP}=3900", "health.port = 3803", *FAR)
    assert (told.code, told.lines) == (
        0,
        [
            f"{TCP} is 3900 now",
            "health.port is 3803 after a restart",
            "drives are still answered on port 3801 for 10 min",
            "now change the port in the settings of every library that uses this key manager",
        ],
    )
    told = qekm("config", "set", f"{RATE}=70", *FAR)
    wins = "in the file; a variable of the service's environment says otherwise, and wins"
    assert told.lines[0] == f"{RATE} is 70 {wins}"
    listed = {line.split()[0]: line for line in qekm("config", "list", *FAR).lines}
    assert listed["health.port"].endswith("0 (after a restart: 3803)")
    document = qekm("config", "set", "debug=all", *FAR, "--json").document
    assert document == {"changed": ["debug"], "at_restart": [], "notes": service.configuration.notes}


def test_unset_takes_the_default_again(qekm: Qekm, service: FakeService) -> None:
    qekm("config", "set", "debug=all", *FAR)
    assert qekm("config", "unset", "debug", *FAR).out == "debug is its default now\n"
    assert qekm("config", "get", "debug", *FAR).out == "none\n"


def test_unset_takes_out_what_nobody_knows(qekm: Qekm, service: FakeService) -> None:
    service.configuration.add("no.such=1")
    told = qekm("config", "unset", "no.such", *FAR)
    assert (told.code, told.lines[0]) == (0, "no.such is taken out now"), told.err
    assert "no.such" not in service.configuration.file.read_text()
    assert qekm("config", "unset", "no.such", *FAR).code == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set", "no.such=1"), 3, "there is no property no.such"),
        (("set", "debug"), 2, "'debug' is not NAME=VALUE"),
        (("set", "=1"), 2, "is not NAME=VALUE"),
        (("set", "backup.command=x"), 6, "with the service stopped: qekm-server config set"),
        (("unset", "backup.command"), 6, "then qekm config refresh"),
        (("set",), 2, "missing argument"),
        (("import", "no-such-file"), 2, "no-such-file: No such file"),
        (("export", "/no/such/directory"), 2, "No such file"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    qekm: Qekm, service: FakeService, words: tuple[str, ...], code: int, said: str
) -> None:
    told = qekm("config", *words, *FAR)
    assert (told.code, said in told.err) == (code, True), told.err
    assert service.configuration.updates == []


def test_refresh_tells_what_changed(qekm: Qekm, service: FakeService) -> None:
    assert qekm("config", "refresh", *FAR).out == "nothing has changed\n"
    service.configuration.notes = ["a note"]
    service.configuration.add(f"{TCP}=3900\ngrpc.port=3803")
    told = qekm("config", "refresh", *FAR)
    assert told.lines[:3] == [
        f"changed: {TCP}, grpc.port",
        "in force after a restart: grpc.port",
        "a note",
    ]
    assert told.lines[3].startswith("now change the port")


def test_what_is_exported_is_imported_again(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "saved.properties"
    qekm("config", "set", "debug=all", "health.port=3803", *FAR)
    assert qekm("config", "export", str(file), *FAR).out == f"3 properties written: {file}\n"
    assert qekm("config", "export", str(file), *FAR).code == 2
    assert qekm("config", "export", str(file), "--force", *FAR).code == 0
    assert qekm("config", "import", str(file), *FAR).out == "nothing has changed\n"
    qekm("config", "unset", "debug", *FAR)
    qekm("config", "set", f"{TCP}=3900", *FAR)
    assert qekm("config", "import", str(file), *FAR).out == "changed: debug\n"
    assert qekm("config", "get", "debug", TCP, *FAR).out == "all\n3900\n"
    told = qekm("config", "import", str(file), "--rewrite", *FAR)
    assert told.lines[0] == f"changed: {TCP}"
    assert qekm("config", "get", TCP, *FAR).out == "3801\n"
    file.write_text("no.such.property=1\n")
    assert qekm("config", "import", str(file), *FAR).code == 2


def test_what_the_file_says_is_exported_and_compared_where_the_environment_wins(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "saved.properties"
    qekm("config", "set", f"{RATE}=70", *FAR)
    qekm("config", "export", str(file), *FAR)
    assert f"{RATE}=70\n" in file.read_text()
    assert qekm("config", "import", str(file), "--rewrite", *FAR).lines[0] == "nothing has changed"
    file.write_text(f"{RATE}=60\n")
    assert qekm("config", "import", str(file), *FAR).lines[0] == f"changed: {RATE}"
    assert f"{RATE}=60\n" in service.configuration.file.read_text()
    file.write_text("drive.acceptUnknownDrives=pending\n")
    assert qekm("config", "import", str(file), "--rewrite", *FAR).lines[0] == f"changed: {RATE}"
    assert RATE not in service.configuration.file.read_text()
    qekm("config", "export", str(file), "--force", *FAR)
    assert RATE not in file.read_text()


def test_a_stopped_service_is_read_from_its_file(qekm: Qekm, stopped: Home) -> None:
    place = ("--home", str(stopped.path))
    assert qekm("config", "get", TCP, *place).out == "3900\n"
    rows = {row["name"]: row for row in qekm("config", "list", *place, "--json").document["properties"]}
    assert (rows[TCP]["source"], rows["fips"]["origin"], rows["my.own"]["origin"]) == (
        "file",
        "kept",
        "unknown",
    )
    assert qekm("config", "list", "--changed", *place).lines[0].startswith("NAME")
    assert qekm("config", "get", "no.such", *place).code == 3


def test_a_stopped_service_is_changed_by_its_own_program(stopped: Home, tmp_path: Path) -> None:
    installed = Installation.make(tmp_path / "bin", qekm_server=TELL)
    place = ("--home", str(stopped.path))
    done = installed.run("config", "set", f"{TCP}=3901", "debug=all", *place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"told config set --home {stopped.path} -- {TCP}=3901 debug=all",
        "in force when the service is started",
        "now change the port in the settings of every library that uses this key manager",
    ]
    done = installed.run("config", "unset", "debug", *place, "--json")
    assert json.loads(done.stdout)["changed"] == ["debug"]
    done = installed.run("config", "unset", "debug", "fips", *place)
    assert done.stdout.splitlines()[0] == (
        f"told config set --home {stopped.path} --unset=debug --unset=fips --"
    )
    done = installed.run("config", "set", "no.such=1", *place)
    assert (done.returncode, "in force" in done.stdout) == (3, False)
    done = installed.run("config", "set", "debug=all", "--home", str(tmp_path / "nothing"))
    assert (done.returncode, "qekm init" in done.stderr) == (6, True)
