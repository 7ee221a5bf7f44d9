"""Key managers that run and are really broken: frozen, killed, revoked, older, with another clock."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm import __version__
from qekm.configuration.settings import amend
from qekm.home import Home
from qekm_cli.app import run
from qekm_cli.doctor import answers
from tests.cli.doctor.rig import client_of, copy_of, examine, make_template
from tests.cli.installation import Installation
from tests.cli.sites import programs
from tests.ordinary import NOBODY, open_to_all, ordinary
from tests.ports import free_port
from tests.system.processes import Estate, environment
from tests.waiting import wait_for

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_template(tmp_path_factory.mktemp("running") / "template")


@pytest.fixture(scope="module")
def estate(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Give a service and a gateway that run; each test leaves them so."""
    made = Estate(copy_of(template, tmp_path_factory.mktemp("running") / "home").path)
    made.start().wait_gateway()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def bin_(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs(tmp_path_factory.mktemp("bin") / "bin")


def test_one_that_runs_is_well_and_its_password_is_not_needed(estate: Estate) -> None:
    found = examine(estate.home)
    assert found.first == "", found.told
    assert [found.verdict(step) for step in ("health", "tls", "service", "gateways", "keys")] == ["ok"] * 5
    assert f"version {__version__}" in found.seen("service")


def test_the_program_itself_says_so_and_what_is_broken_ends_with_5(estate: Estate, bin_: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(bin_ / "qekm"), "doctor", *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=environment(), check=False
        )

    done = run("--json", "--home", str(estate.home.path))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["broken"] is None
    assert [each["step"] for each in told["findings"]][:2] == ["libraries", "home"]
    estate.home.key("server").chmod(0o644)
    try:
        done = run("--home", str(estate.home.path))
    finally:
        estate.home.key("server").chmod(0o600)
    assert done.returncode == 5
    assert "BROKEN   permissions" in done.stdout
    assert "broken first: permissions: others may read" in done.stdout
    assert "what to do:   chmod 600" in done.stdout


def test_a_service_that_is_frozen(estate: Estate) -> None:
    assert estate.server is not None
    os.kill(estate.server.pid, signal.SIGSTOP)
    try:
        found = examine(estate.home)
    finally:
        os.kill(estate.server.pid, signal.SIGCONT)
    assert (found.first, "is frozen" in found.told) == ("processes", True), found.told
    assert f"kill -CONT {estate.server.pid}" in found.told


def test_a_gateway_that_was_stopped_and_one_that_was_killed(estate: Estate) -> None:
    assert estate.gateway is not None
    os.kill(estate.gateway.pid, signal.SIGKILL)
    estate.gateway.wait()
    found = examine(estate.home)
    assert (found.first, "the gateway has gone without a word" in found.told) == ("processes", True)
    estate.home.run_file("gateway").unlink()
    found = examine(estate.home)
    assert (found.first, "the gateway does not run" in found.told) == ("processes", True), found.told
    with estate.client() as client:
        from qekm.v1.server_pb2 import GetStatusRequest

        wait_for(lambda: not client.server.GetStatus(GetStatusRequest()).gateways)
    with estate.home.announced("gateway", __version__, {}):
        found = examine(estate.home)
    assert (found.first, "no gateway is connected" in found.told) == ("gateways", True), found.told
    estate.gateway = None
    estate.start().wait_gateway()
    assert examine(estate.home).first == ""


def test_a_certificate_that_was_revoked(estate: Estate) -> None:
    from qekm.v1 import certificates_pb2 as pb

    home = str(estate.home.path)
    issue = ("certificates", "issue", "administrator", "anna", "--out", str(estate.home.pki), "--home", home)
    assert run(issue).code == 0
    assert examine(estate.home, identity="anna").first == ""
    with estate.client() as client:
        found = client.certificates.ListCertificates(pb.ListCertificatesRequest()).certificates
        serial = next(each.serial for each in found if each.name == "anna")
        client.certificates.RevokeCertificate(pb.RevokeCertificateRequest(serial=serial))
    looked = examine(estate.home, identity="anna")
    assert (looked.first, "revoked" in looked.told) == ("service", True), looked.told
    assert examine(estate.home).first == ""


def test_a_client_of_another_estate_and_one_whose_trust_is_exchanged(
    estate: Estate, template: Home, tmp_path: Path
) -> None:
    target = f"127.0.0.1:{estate.ports['grpc']}"
    good = client_of(estate.home, tmp_path / "good", target)
    assert examine(good).first == ""
    other = make_template(tmp_path / "other")
    shutil.copy2(other.trust, good.trust)
    found = examine(good)
    assert (found.first, "trust.pem does not have" in found.told) == ("identity", True), found.told
    stranger = client_of(other, tmp_path / "stranger", target)
    found = examine(stranger)
    assert (found.first, "which trust.pem does not have" in found.told) == ("tls", True), found.told


def test_the_home_of_a_gateway_alone(estate: Estate, tmp_path: Path) -> None:
    home = Home(tmp_path / "gateway")
    home.pki.mkdir(parents=True)
    home.path.chmod(0o700)
    home.pki.chmod(0o700)
    for each in (estate.home.certificate("gateway"), estate.home.key("gateway"), estate.home.trust):
        shutil.copy2(each, home.pki)
    shutil.copy2(estate.home.config, home.config)
    amend(home.config, {"gateway.services": f"127.0.0.1:{estate.ports['grpc']}"}, keep=False)
    found = examine(home)
    assert found.first == "", found.told
    assert (found.verdict("service"), found.verdict("status")) == ("ok", "not looked at")
    assert not {"store", "keystore", "health"} & {each.step for each in found.findings}
    port = free_port()
    amend(home.config, {"gateway.services": f"127.0.0.1:{port}"}, keep=False)
    found = examine(home)
    assert (found.first, f"nothing listens at 127.0.0.1:{port}" in found.told) == ("connect", True), (
        found.told
    )


def test_the_program_writes_nothing_and_leaves_a_session_that_has_ended(
    template: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = copy_of(template, tmp_path / "home")
    home.run.mkdir(mode=0o700, exist_ok=True)
    told = {"address": "localhost:3802", "session": "00" * 32, "expire_time_us": 1}
    home.session_file("administrator").write_text(json.dumps(told))
    home.session_file("administrator").chmod(0o600)

    def everything() -> dict[Path, tuple[int, int, int]]:
        paths = (home.path, *home.path.rglob("*"))
        return {
            path: (each.st_ino, each.st_mtime_ns, each.st_size) for path in paths if (each := path.stat())
        }

    before = everything()
    assert run(("doctor", "--home", str(home.path), "--target", "localhost:3802")).code in (0, 5)
    assert "own certificate" in capsys.readouterr().out
    assert everything() == before


def test_a_service_of_an_older_version(template: Home, tmp_path: Path) -> None:
    estate = Estate(copy_of(template, tmp_path / "home").path)
    estate.program = ("tests.cli.doctor.older_service",)
    try:
        estate.start(gateway=False)
        with estate.home.announced("gateway", __version__, {}):
            found = examine(estate.home)
        assert (found.first, "is of version 0.3.9, this program is of" in found.told) == ("processes", True)
        client = client_of(estate.home, tmp_path / "client", f"127.0.0.1:{estate.ports['grpc']}")
        found = examine(client)
        assert (found.first, "version 0.3.9, older than" in found.told) == ("service", True), found.told
    finally:
        estate.close()


def test_clocks_that_differ_are_told_by_the_service_s_own_time(estate: Estate) -> None:
    from datetime import UTC, datetime, timedelta

    from qekm.v1 import server_pb2 as pb

    with estate.client() as client:
        theirs = client.server.GetVersion(pb.GetVersionRequest()).time.ToDatetime(UTC)
    now = datetime.now(UTC)
    assert [*answers.clocks(theirs, now)] == []
    for days, word in ((400, "behind"), (-400, "ahead of")):
        (seen,) = answers.clocks(theirs, now + timedelta(days=days))
        assert (seen.verdict, word in seen.told) == ("broken", True), seen.told


@pytest.mark.parametrize(("off", "step"), [("-3y", "clock"), ("+12y", "clock")])
def test_a_machine_whose_clock_is_years_off(template: Home, off: str, step: str) -> None:
    if not FAKETIME.exists():
        pytest.skip("libfaketime is not installed")
    words = [sys.executable, "-m", "qekm.server", "doctor", "--json", "--home", str(template.path)]
    faked = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": off, "NO_FAKE_STAT": "1"}
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment(**faked), timeout=120, check=False
    )
    findings = json.loads(done.stdout)["findings"]
    broken = [each["step"] for each in findings if each["verdict"] == "broken"]
    assert (done.returncode, broken[:1]) == (5, [step]), done.stdout


@pytest.mark.root
def test_a_home_of_another_user_s_and_the_same_one_as_its_owner(template: Home, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a home away")
    home = copy_of(template, tmp_path / "home")
    open_to_all(tmp_path)
    words = [*ordinary(), sys.executable, "-m", "qekm.server", "doctor", "--home", str(home.path)]

    def run() -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment(), timeout=120, check=False, cwd="/"
        )
        if "ModuleNotFoundError" in done.stderr or "PermissionError" in done.stderr:
            pytest.skip("the checkout is in a directory that an ordinary user cannot read")
        return done

    done = run()
    assert done.returncode == 5, done.stderr
    assert "broken first: home: the user nobody may not read" in done.stdout
    assert "sudo -u root qekm doctor" in done.stdout
    for path in (home.path, *home.path.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    done = run()
    assert done.returncode == 0, done.stdout
    assert "nothing is broken" in done.stdout


def test_programs_of_half_an_installation_are_named(tmp_path: Path) -> None:
    """A `qekm` beside which no `qekm-server` works."""
    half = Installation.make(tmp_path / "bin", qekm_server="print('no'); sys.exit(3)")
    done = half.run("doctor", "--json", "--home", str(tmp_path))
    assert done.returncode == 5
    assert "qekm-server doctor ended with 3" in json.loads(done.stdout)["broken"]["seen"][0]


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    half = Installation.make(tmp_path / "bin", qekm_server="")
    (half.directory / "qekm-server").write_text("#!/no/such/python\n")
    done = half.run("doctor", "--json", "--home", str(tmp_path))
    assert done.returncode == 5, done.stderr
    assert "cannot be started" in json.loads(done.stdout)["broken"]["seen"][0]
