"""`qekm audit` against a service in memory."""

from datetime import UTC, datetime

from qekm.errors import ServiceAway

from .conftest import Qekm
from .fake_service import NOW, FakeService


def test_list_shows_the_newest_records_the_newest_last(qekm: Qekm) -> None:
    told = qekm("audit", "list", "--limit", "3")
    assert [line.split()[0] for line in told.lines[1:]] == ["3", "4", "5"]
    assert told.lines[1].split()[:4] == ["3", "2027-01-15T08:00:03Z", "drive.refuse", "failure"]
    assert "x7" in told.lines[1]


def test_list_shows_all_of_them_when_told(qekm: Qekm, service: FakeService) -> None:
    assert len(qekm("audit", "list", "--limit", "0", "--json").document["records"]) == 5
    assert not service.audit.requests[0].newest_first
    assert [r["sequence"] for r in qekm("audit", "list", "--json").document["records"]] == [1, 2, 3, 4, 5]


def test_what_a_stranger_wrote_cannot_steer_the_terminal(qekm: Qekm) -> None:
    told = qekm("audit", "list", "--failed")
    assert "\x1b" not in told.out
    assert "evil \\x1b[2J text" in told.out


def test_list_takes_every_filter(qekm: Qekm, service: FakeService) -> None:
    def sequences(*words: str) -> list[int]:
        return [record["sequence"] for record in qekm("audit", "list", "--json", *words).document["records"]]

    assert sequences("--drive", "001310000363") == [2, 4]
    assert sequences("--drive", "1310000363") == [2, 4]
    assert sequences("--volser", "E01001L4", "--limit", "1") == [5]
    assert sequences("--volser", "NONE") == []
    assert sequences("--failed") == [3]
    assert sequences("--since", datetime.fromtimestamp(NOW + 4, UTC).isoformat()) == [4, 5]
    sequences("--since", "2h")
    age = datetime.now(UTC).timestamp() - service.audit.requests[-1].since.seconds
    assert 7199 < age < 7260


def test_list_names_the_filter_that_is_wrong(qekm: Qekm) -> None:
    for words in (("--since", "soon"), ("--limit", "x"), ("--limit", "-5"), ("--outcome", "bad")):
        told = qekm("audit", "list", *words)
        assert told.code == 2
        assert words[0] in told.err


def test_verify_tells_that_the_trail_is_intact(qekm: Qekm) -> None:
    told = qekm("audit", "verify")
    assert told.code == 0
    assert told.lines[0].split() == ["Verdict", "intact"]
    assert told.err == ""
    document = qekm("audit", "verify", "--json").document
    assert (document["intact"], document["records"], document["head"]) == (True, 5, "00" * 32)


def test_verify_ends_with_a_bad_verdict_and_names_the_record(qekm: Qekm, service: FakeService) -> None:
    service.audit.broken_at = 3
    told = qekm("audit", "verify")
    assert told.code == 5
    assert told.lines[0].split(maxsplit=1)[1] == "broken at record 3"
    assert "hash differs" in told.out
    told = qekm("audit", "verify", "--json")
    assert (told.code, told.document["broken_at"]) == (5, 3)


def test_a_check_that_ends_without_a_verdict_is_an_error(qekm: Qekm, service: FakeService) -> None:
    def cut(*_: object, timeout: float) -> object:
        return iter(())

    service.audit.VerifyTrail = cut  # type: ignore[method-assign, assignment]
    assert qekm("audit", "verify").code == 11

    def away(*_: object, timeout: float) -> object:
        raise ServiceAway("gone")

    service.audit.VerifyTrail = away  # type: ignore[method-assign, assignment]
    assert qekm("audit", "verify").code == 10


def test_checkpoints_are_listed_as_the_check_of_a_trail_takes_them(qekm: Qekm) -> None:
    told = qekm("audit", "checkpoints")
    assert told.lines[0].split() == ["SERVER", "TIME", "EPOCH", "COMMIT", "SEEN", "PUBLIC", "KEY"]
    assert told.lines[1].split()[0] == "ekm2"
    assert told.lines[1].split()[-3:] == ["71", f"51:{'01' * 32}", "01" * 32]
    first, second = qekm("audit", "checkpoints", "--json").document["checkpoints"]
    assert (first["server"], first["sequence"], first["hash"]) == ("ekm2", 51, "01" * 32)
    assert (second["server"], second["instance"]) == ("", "02" * 8)
