"""`qekm report` against a service in memory: files, pipes, terminals, places that cannot be written to."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Qekm
from tests.cli.fake_service import FakeService
from tests.cli.report.material import rich
from tests.cli.terminal import FAKE, typed_to_qekm

BEGINS = {"html": b"<!DOCTYPE html>", "pdf": b"%PDF-1.", "json": b"{\n"}
REPORT = "from tests.cli.report.material import rich; service.report.report = rich()"


@pytest.fixture(autouse=True)
def _report(service: FakeService) -> None:
    service.report.report = rich(days=3)


@pytest.mark.parametrize("kind", BEGINS)
def test_the_name_of_the_file_tells_its_kind_and_what_was_made_is_said(
    qekm: Qekm, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"report.{kind}"
    said = qekm("report", "--output", str(file))
    assert (said.code, said.err) == (0, "")
    content = file.read_bytes()
    assert content.startswith(BEGINS[kind])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert said.lines == [
        f"{file}: {len(content):,} bytes, 987,644 records of the span",
        f"trail: 987,654 records checked, intact; head {'00' * 32}",
        f"SHA-256: {hashlib.sha256(content).hexdigest()}",
    ]
    assert list(tmp_path.iterdir()) == [file]


def test_it_goes_down_a_pipe_and_what_is_said_beside_it(qekm: Qekm, service: FakeService) -> None:
    said = qekm("report")
    assert said.out.startswith("<!DOCTYPE html>")
    assert said.err.startswith("report: ")
    assert f"SHA-256: {hashlib.sha256(said.out.encode()).hexdigest()}" in said.err
    assert qekm("report", "--json").document["trail"]["checked"] == 987_654
    assert qekm("report", "--format", "json").document == qekm("report", "--json").document
    assert [each.HasField("since") for each in service.report.requests] == [False] * 4


def test_a_program_is_told_of_the_file(qekm: Qekm, tmp_path: Path) -> None:
    file = tmp_path / "report"
    document = qekm("report", "--json", "--output", str(file), "--format", "html").document
    assert document == {
        "file": str(file),
        "size": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "intact": True,
        "checked": 987_654,
        "head": "00" * 32,
    }


def test_the_span_is_asked_for_as_it_is_written(qekm: Qekm, service: FakeService) -> None:
    assert qekm("report", "--since", "2026-11-01", "--until", "2026-12-01T12:30+01:00").code == 0
    (asked,) = service.report.requests
    assert asked.since.ToJsonString() == "2026-11-01T00:00:00Z"
    assert asked.until.ToJsonString() == "2026-12-01T11:30:00Z"
    assert qekm("report", "--since", "yesterday").code == 2
    said = qekm("report", "--since", "2026-12-01", "--until", "2026-11-01")
    assert (said.code, said.out) == (2, "")
    assert "ends before it begins" in said.err


def test_a_broken_trail_makes_a_report_and_a_bad_verdict(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    assert service.report.report is not None
    service.report.report.trail.verdict.intact = False
    service.report.report.trail.verdict.broken_at = 1_234
    said = qekm("report", "--output", str(tmp_path / "report.html"))
    assert said.code == 5
    assert "BROKEN at record 1,234" in said.out
    assert "THE AUDIT TRAIL IS BROKEN" in (tmp_path / "report.html").read_text()


def test_a_file_that_is_there_stays_unless_that_is_said(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text("last month's")
    said = qekm("report", "--output", str(file))
    assert said.code == 2
    assert f"{file} is there already" in said.err
    assert file.read_text() == "last month's"
    assert not service.report.requests, "nobody is asked for what cannot be kept"
    assert qekm("report", "--output", str(file), "--force").code == 0
    assert file.read_bytes().startswith(BEGINS["html"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--output", "/nonexistent/directory/report.html"), "there is no directory /nonexistent/directory"),
        (("--output", "report"), "does not tell what it is to be"),
        (("--output", "report.docx"), "does not tell what it is to be"),
        (("--format", "docx"), "docx"),
        (("--output", "/proc/report.html"), "report.html"),
    ],
)
def test_what_cannot_be_written_is_said_before_anybody_is_asked(
    qekm: Qekm, service: FakeService, words: tuple[str, ...], complaint: str
) -> None:
    said = qekm("report", *words)
    assert said.code == 2
    assert complaint in said.err
    assert not service.report.requests


def test_a_disk_that_is_full_leaves_what_was_there(qekm: Qekm, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("last month's")
    with no_file_larger_than(10_000):
        said = qekm("report", "--output", str(file), "--force")
    assert said.code == 2
    assert "File too large" in said.err
    assert file.read_text() == "last month's"
    assert list(tmp_path.iterdir()) == [file]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Have writes beyond a size fail, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores SIGXFSZ
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_terminal_gets_no_file_but_json_and_a_reader_who_leaves_early_is_no_defect() -> None:
    code, screen = typed_to_qekm(["report"], [])
    assert code == 2
    assert "name a file with --output" in screen
    code = subprocess.run(
        ["bash", "-c", f'set -o pipefail; {sys.executable} -c "$PROGRAM" report | head -c 10 >/dev/null'],
        env={**os.environ, "PROGRAM": FAKE.format(before=REPORT, after="")},
        check=False,
        capture_output=True,
    ).returncode
    assert code in (0, 141)


def test_without_the_library_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    before = f"{REPORT}; sys.modules['reportlab'] = None"
    words = ["report", "--output", str(tmp_path / "report.pdf")]
    done = subprocess.run(
        [sys.executable, "-c", FAKE.format(before=before, after=""), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'qekm[report]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_json_has_every_field_of_the_message(qekm: Qekm, service: FakeService) -> None:
    document = json.loads(qekm("report", "--format", "json").out)
    assert service.report.report is not None
    assert list(document) == [field.name for field in service.report.report.DESCRIPTOR.fields]
    assert document["serving"][2]["read"] == service.report.report.serving[2].read
    assert document["trail"]["verdict"]["intact"] is True
