"""export, import; and `qekm drives export` and `import`, which write and read the same file."""

from pathlib import Path

import pytest

from tests.cli.conftest import Qekm
from tests.cli.fake_service import FakeService

TABLE = (
    "serial,wwnn,vendor,product,group,alias,firmware,allowed_groups,confirm,label_mode\n"
    "001300000392,500308c09e4a1001,IBM,ULT3580-TD4,archive,,,archive default,no,t10\n"
    "001310000363,500308c09e4a1002,IBM,ULT3580-TD4,,,,,yes,full\n"
)
CONFIG = "# Q-EKM: a whole file has an end, a line that says so.\ndrive.acceptUnknownDrives=pending\n# End.\n"


@pytest.fixture(autouse=True)
def drive(service: FakeService) -> None:
    one = service.drives.drives["001300000392"]
    one.group, one.confirm, one.label_mode = "archive", False, 2
    one.allowed_groups.extend(["archive", "default"])


@pytest.mark.parametrize("url", ["FILE:{}", "file://{}", "File:{}", "file://localhost{}"])
def test_the_drive_table_is_written_to_a_url_and_replaces_what_was_there(
    qekm: Qekm, tmp_path: Path, url: str
) -> None:
    file = tmp_path / "a table.csv"
    file.write_text("old")
    told = qekm("export", "-drivetab", "-url", url.format(str(file).replace(" ", "%20")))
    assert told.out == f"2 drives written: {file}\n"
    assert file.read_text() == TABLE
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_the_configuration_is_written_as_the_file_sets_it(qekm: Qekm, tmp_path: Path) -> None:
    file = tmp_path / "config"
    told = qekm("export", "-config", "-url", f"FILE:{file}")
    assert told.out == f"1 properties written: {file}\n"
    assert file.read_text() == CONFIG
    document = qekm("export", "-config", "-url", f"FILE:{file}", "--json").document
    assert document == {"file": str(file), "properties": 1}


def test_a_table_that_is_read_back_is_as_it_was(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "drives.csv"
    qekm("export", "-drivetab", "-url", f"FILE:{file}")
    service.drives.drives.pop("001310000363")
    told = qekm("import", "-merge", "-drivetab", "-url", f"FILE:{file}")
    assert told.out == "drives: 1 added, 1 changed, 0 removed\n"
    sent = service.drives.imports[0].drives[0]
    assert (sent.group, sent.confirm, sent.label_mode) == ("archive", False, 2)
    assert list(sent.allowed_groups) == ["archive", "default"]
    told = qekm("import", "-rewrite", "-drivetab", "-url", f"FILE:{file}", "--json")
    assert told.document == {"created": 0, "updated": 2, "deleted": 1}
    assert service.drives.imports[1].rewrite


def test_a_bad_table_is_told_line_by_line_and_nothing_is_sent(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "drives.csv"
    file.write_text("serial,wwnn\nA,12\nB,zz\n")
    for words in (
        ("import", "-merge", "-drivetab", "-url", f"FILE:{file}"),
        ("drives", "import", "--merge", str(file)),
    ):
        told = qekm(*words)
        assert (told.code, told.out) == (2, "")
        assert f"qekm: error: {file}: line 2: " in told.err
        assert f"qekm: error: {file}: line 3: " in told.err
    file.write_bytes(b"\xff\xfe\0")
    assert (
        f"{file}: not a text file in UTF-8"
        in qekm("import", "-merge", "-drivetab", "-url", f"FILE:{file}").err
    )
    file.write_bytes(b"A," * (9 << 20))
    assert "this is no list of drives" in qekm("drives", "import", "--merge", str(file)).err
    assert service.drives.imports == []


def test_only_what_differs_is_set(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("backup.command=\nTransportListener.tcp.port=3801\ndebug=all\nhealth.port=3902\n")
    told = qekm("import", "-merge", "-config", "-url", f"FILE:{file}")
    assert told.out == "properties changed: debug, health.port; in force after a restart: health.port\n"
    (update,) = service.configuration.updates
    assert (dict(update.set), list(update.unset)) == ({"debug": "all", "health.port": "3902"}, [])
    told = qekm("import", "-merge", "-config", "-url", f"FILE:{file}", "--json")
    assert told.document["changed"] == []
    assert len(service.configuration.updates) == 1


def test_rewriting_unsets_what_the_file_does_not_have(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text("debug=none\n")
    told = qekm("import", "-rewrite", "-config", "-url", f"FILE:{file}")
    assert told.out == "properties changed: drive.acceptUnknownDrives\n"
    assert list(service.configuration.updates[0].unset) == ["drive.acceptUnknownDrives"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no.such.property=1\ndebug=all\n", "there is no property no.such.property"),
        (CONFIG.removesuffix("# End.\n"), "its end is missing"),
        ("debug=\\u00g\n", "line 1"),
        ("", "its end is missing"),
    ],
)
def test_a_configuration_that_cannot_be_used_changes_nothing(
    qekm: Qekm, service: FakeService, tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    ended = qekm("import", "-merge", "-config", "-url", f"FILE:{file}")
    assert (ended.code, ended.out) == (2, "")
    assert str(file) in ended.err
    assert told in ended.err
    assert service.configuration.updates == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("export", "-drivetab"), "-url"),
        (("export", "-url", "FILE:/tmp/x"), "give either -drivetab or -config"),
        (("export", "-drivetab", "-config", "-url", "FILE:/tmp/x"), "give either -drivetab or -config"),
        (("export", "-drivetab", "-url", "/tmp/x"), "is no URL of a file"),
        (("export", "-drivetab", "-url", "http://host/x"), "is no URL of a file"),
        (("export", "-drivetab", "-url", "file://host/x"), "is no URL of a file of this machine"),
        (("export", "-drivetab", "-url", "FILE:"), "is no URL of a file"),
        (("import", "-drivetab", "-url", "FILE:/tmp/x"), "give either -merge or -rewrite"),
        (
            ("import", "-merge", "-rewrite", "-config", "-url", "FILE:/tmp/x"),
            "give either -merge or -rewrite",
        ),
        (("import", "-merge", "-drivetab", "-url", "FILE:/nonexistent/x"), "/nonexistent/x: No such file"),
        (("export", "-config", "-url", "FILE:/nonexistent/x"), "No such file or directory"),
        (("drives", "import", "/nonexistent/x"), "give either --merge or --rewrite"),
    ],
)
def test_what_is_wrong_is_named(qekm: Qekm, words: tuple[str, ...], told: str) -> None:
    ended = qekm(*words)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_our_own_verbs_write_and_read_the_same_file(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "drives.csv"
    assert qekm("drives", "export", str(file)).out == f"2 drives written: {file}\n"
    assert file.read_text() == TABLE
    assert qekm("drives", "export", str(file)).code == 2
    assert qekm("drives", "export", str(file), "--force", "--json").document == {
        "file": str(file),
        "drives": 2,
    }
    assert qekm("drives", "import", str(file), "--merge").out == "drives: 0 added, 2 changed, 0 removed\n"
    assert qekm("drives", "add", "--csv", str(file)).code == 2, "add adds, import merges"
