"""The package as a file: what is in it, what is not, and that it is made of its source alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from deploy.debian.launch import home_of, is_for_systemd
from tests.packages.conftest import EARLIER, build
from tests.pages import ROOT

PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
pytestmark = pytest.mark.timeout(1_200)  # the first one waits for the package to be made
SITE = "usr/lib/qekm/lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked") / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(directory)], check=True)
    return directory


def test_every_program_is_there_with_its_manual_page(unpacked: Path) -> None:
    assert {path.name for path in (unpacked / "usr/bin").iterdir()} == set(PROGRAMS)
    manual = {path.name.partition(".")[0] for path in (unpacked / "usr/share/man").rglob("*.gz")}
    assert set(PROGRAMS) <= manual


def test_completion_is_there_for_three_shells(unpacked: Path) -> None:
    for place in ("bash-completion/completions/qekm", "zsh/vendor-completions/_qekm"):
        assert "_QEKM_COMPLETE" in (unpacked / "usr/share" / place).read_text()
    assert "_QEKM_COMPLETE" in (unpacked / "usr/share/fish/vendor_completions.d/qekm.fish").read_text()
    script = unpacked / "usr/share/bash-completion/completions/qekm"
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_nothing_tells_where_it_was_made(unpacked: Path) -> None:
    assert not [*unpacked.rglob("*.pyc"), *unpacked.rglob("direct_url.json")]
    here = str(ROOT).encode()
    files = (path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink())
    assert [path for path in files if here in path.read_bytes()] == []


def test_files_are_root_s_and_nobody_else_may_write_them(package: Path) -> None:
    for member in _members(package):
        assert (member.uid, member.gid) == (0, 0), member.name
        assert not member.mode & 0o022 or member.issym(), member.name
        assert not member.mode & 0o6000, member.name


def _members(package: Path) -> Iterator[tarfile.TarInfo]:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    told = subprocess.Popen(command, stdout=subprocess.PIPE)
    with tarfile.open(fileobj=told.stdout, mode="r|") as archive:
        yield from archive
    assert told.wait() == 0


def test_the_same_source_makes_the_same_bytes(package: Path, bundle: Path, tmp_path: Path) -> None:
    again = build(tmp_path, "--bundle", str(bundle))
    assert sha256(again.read_bytes()).digest() == sha256(package.read_bytes()).digest()


def test_a_package_with_another_number_differs(package: Path, earlier: Path) -> None:
    assert EARLIER in earlier.name
    assert sha256(earlier.read_bytes()).digest() != sha256(package.read_bytes()).digest()


def test_lintian_finds_no_error(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    command = ["lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout


def test_the_program_runs_from_the_package_alone(unpacked: Path) -> None:
    """With this Python where the package has Debian's, if that is of the same version."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the package's libraries are for Python 3.11")
    site = str(unpacked / SITE)
    begin = f"import sys; sys.path[:0] = [{site!r}]; import qekm, qekm_cli.app"
    code = f"{begin}; print(qekm.__file__, flush=True); qekm_cli.app.main()"
    command = [sys.executable, "-I", "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(site)


@pytest.mark.parametrize(
    ("words", "environ", "home"),
    [
        (["keys", "list"], {}, "/var/lib/qekm"),
        (["keys", "list"], {"QEKM_HOME": "/srv/a"}, "/srv/a"),
        (["--home", "/srv/b", "keys"], {"QEKM_HOME": "/srv/a"}, "/srv/b"),
        (["keys", "list", "--home=/srv/c"], {}, "/srv/c"),
        (["keys", "--home"], {}, ""),
    ],
)
def test_the_home_that_a_command_names_is_found(words: list[str], environ: dict[str, str], home: str) -> None:
    assert home_of(words, environ) == home


@pytest.mark.parametrize("words", [["server", "stop"], ["server", "start", "--json"], ["keys", "list"]])
def test_only_a_plain_start_is_systemd_s(words: list[str]) -> None:
    assert not is_for_systemd("qekm", words)
