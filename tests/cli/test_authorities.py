"""`qekm drives authorities` against a service in memory."""

from pathlib import Path

from .conftest import Qekm
from .fake_service import FakeService


def test_list_shows_the_beginning_of_the_fingerprint_and_json_all_of_it(qekm: Qekm) -> None:
    told = qekm("drives", "authorities", "list")
    assert told.lines[1].split()[:2] == ["0101010101010101", "2027-01-15T08:00:01Z"]
    document = qekm("drives", "authorities", "list", "--json").document
    assert [one["fingerprint"] for one in document["authorities"]] == ["01" * 32, "02" * 32]


def test_add_sends_the_file_and_tells_the_whole_fingerprint(qekm: Qekm, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"certificate")
    told = qekm("drives", "authorities", "add", str(file))
    assert told.out == f"authority added: CN=New, SHA-256 {'09' * 32}\n"
    assert qekm("drives", "authorities", "add", str(file), "--json").document["subject"] == "CN=New"


def test_add_refuses_files_that_are_no_certificate(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    assert qekm("drives", "authorities", "add", str(tmp_path / "no.pem")).code == 2
    assert qekm("drives", "authorities", "add", str(tmp_path)).code == 2
    for content in (b"", b"x" * 70_000):
        (tmp_path / "ca.pem").write_bytes(content)
        told = qekm("drives", "authorities", "add", str(tmp_path / "ca.pem"))
        assert told.code == 2
        assert "ca.pem: not a certificate" in told.err
    assert len(service.drives.authorities) == 2


def test_remove_takes_a_fingerprint_or_its_beginning(qekm: Qekm, service: FakeService) -> None:
    assert qekm("drives", "authorities", "remove", "01:01:01:01").out == "authority removed: CN=Drives 1\n"
    assert qekm("drives", "authorities", "remove", "02" * 32).code == 0
    assert not service.drives.authorities


def test_remove_refuses_what_names_no_authority_or_two(qekm: Qekm, service: FakeService) -> None:
    told = qekm("drives", "authorities", "remove", "99" * 32)
    assert told.code == 3
    assert "qekm drives authorities list" in told.err
    for text in ("0101", "zz" * 32, "01" * 33):
        told = qekm("drives", "authorities", "remove", text)
        assert told.code == 2
        assert "is not a SHA-256 fingerprint: 64 hex digits" in told.err
    twin = bytes([1] * 31 + [2])
    service.drives.authorities[twin] = type(service.drives.authorities[bytes([1] * 32)])(fingerprint=twin)
    told = qekm("drives", "authorities", "remove", "01" * 8)
    assert told.code == 2
    assert "give more digits" in told.err
