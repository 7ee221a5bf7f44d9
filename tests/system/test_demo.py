"""`make demo`: it succeeds, it fails when something is not true, and it leaves nothing behind either way."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "demo"))

from trees import count_found, digest_of, list_tree, pick_snippets  # type: ignore[import-not-found]  # noqa: E402

TAR = "/bin/tar"


@dataclass
class Hall:
    """A source to back up, a folder for temporary files, a place for programs that shadow the real ones."""

    source: Path
    temporary: Path
    shadows: Path

    def command(self, source: Path | None = None) -> list[str]:
        """Return the command that runs the demonstration."""
        return [sys.executable, str(ROOT / "demo/run.py"), "--source", str(source or self.source)]

    @property
    def environment(self) -> dict[str, str]:
        """Return its environment: our temporary folder, our shadows first in PATH."""
        path = f"{self.shadows}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"TMPDIR": str(self.temporary), "PATH": path, "PYTHONUNBUFFERED": "1"}

    def run(self, source: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(source),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def shadow(self, name: str, script: str) -> None:
        """Put a shell script before a program of this name."""
        path = self.shadows / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def is_empty(self) -> bool:
        """Tell whether no file is left, and no process that names our temporary folder."""
        return not list(self.temporary.iterdir()) and not list(processes_naming(str(self.temporary)))


def processes_naming(text: str) -> Iterator[str]:
    """Yield the command lines of running processes that contain a text."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command and int(folder.name) != os.getpid():
            yield command


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    """Make a small source with files, folders, a link and an empty file."""
    made = Hall(tmp_path / "source", tmp_path / "temporary", tmp_path / "shadows")
    for folder in (made.source / "deep" / "er", made.temporary, made.shadows):
        folder.mkdir(parents=True)
    (made.source / "text").write_text("\n".join(f"line {number} of the text" for number in range(2000)))
    (made.source / "deep" / "random").write_bytes(random.Random(1).randbytes(700_000))
    (made.source / "deep" / "er" / "empty").touch()
    (made.source / "link").symlink_to("deep/er")
    return made


def test_the_demonstration_succeeds_and_shows_what_it_promises(hall: Hall) -> None:
    done = hall.run()
    assert done.returncode == 0, done.stdout + done.stderr
    for promised in (
        "Drive entries: 2",
        "SerialNumber = 001300000392",
        "SerialNumber = 001310000363",
        "sense 07/74/03",
        "refused: EF01, sense 07/74/64",
        "SHA-256 of the tree",
        "are in the clear cartridge",
        "0 are in the encrypted cartridge",
        "the trail does not verify any more",
        "Nothing is left running",
    ):
        assert promised in done.stdout
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if subprocess.run(probe, check=False, capture_output=True).returncode == 0:
        assert f"the reading process sees 0 files in {hall.source}" in done.stdout
    assert hall.is_empty()


def test_without_namespaces_it_backs_up_a_copy_and_removes_it_before_reading(hall: Hall) -> None:
    hall.shadow("unshare", "exit 1")
    done = hall.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "allows no mount namespaces" in done.stdout
    assert "is gone before the drive reads" in done.stdout
    assert hall.is_empty()


# What is done to tar, and the check that must notice it: failing for any other reason would prove nothing.
FAILURES = {
    "a restored file is altered": (
        f'{TAR} "$@" && case $1 in -x) echo x >> "$3/text";; esac',
        "NOT TRUE: SHA-256 of the tree",
    ),
    "a restored file is missing": (
        f'{TAR} "$@" && case $1 in -x) rm "$3/deep/random";; esac',
        "NOT TRUE: SHA-256 of the tree",
    ),
    "the backup is cut short": (
        f'case $1 in -c) {TAR} "$@" | head -c 5000;; *) {TAR} "$@";; esac',
        "are in the clear cartridge",
    ),
}


@pytest.mark.parametrize(("script", "noticed"), FAILURES.values(), ids=FAILURES.keys())
def test_it_fails_when(hall: Hall, script: str, noticed: str) -> None:
    hall.shadow("tar", script)
    done = hall.run()
    assert done.returncode == 1
    assert "FAILED: NOT TRUE" in done.stderr
    assert noticed in done.stderr
    assert "Every check held" not in done.stdout
    assert hall.is_empty()


@pytest.mark.parametrize("source", ["nowhere", "source/text"])
def test_a_source_that_is_no_directory_is_named(hall: Hall, source: str) -> None:
    done = hall.run(hall.source.parent / source)
    assert done.returncode == 1
    assert source.rpartition("/")[2] in done.stderr
    assert "Traceback" not in done.stderr
    assert hall.is_empty()


def test_a_source_around_the_temporary_folder_is_refused(hall: Hall) -> None:
    done = hall.run(hall.source.parent)
    assert done.returncode == 1
    assert "TMPDIR" in done.stderr
    assert hall.is_empty()


@contextmanager
def under_way(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the demonstration until both daemons are up."""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            running = 0
            while running < 2:
                line = process.stdout.readline()
                assert line, "it ended before its daemons were up"
                running += "running, process" in line
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_it_leaves_nothing(hall: Hall, number: signal.Signals) -> None:
    with under_way(hall.command(), hall.environment) as process:
        assert list(processes_naming(str(hall.temporary)))
        process.send_signal(number)
        assert process.wait(30) == 130
    assert hall.is_empty()


def test_killed_it_leaves_no_process(hall: Hall) -> None:
    with under_way(hall.command(), hall.environment) as process:
        process.kill()
        process.wait(5)
    deadline = time.monotonic() + 60
    while list(processes_naming(str(hall.temporary))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(processes_naming(str(hall.temporary))) == []


def test_a_tree_is_equal_only_to_itself(hall: Hall) -> None:
    before = digest_of(list_tree(hall.source))
    assert digest_of(list_tree(hall.source)) == before
    (hall.source / "deep" / "er" / "empty").write_bytes(b"\0")
    assert digest_of(list_tree(hall.source)) != before


def test_the_search_finds_every_piece_of_a_file_and_none_elsewhere(hall: Hall) -> None:
    tree = list_tree(hall.source)
    pieces = pick_snippets(hall.source, tree, 50, random.Random(2))
    assert len(pieces) == 50
    everything = hall.temporary / "everything"
    everything.write_bytes(b"".join((hall.source / name).read_bytes() for name in ("text", "deep/random")))
    assert count_found(everything, pieces) == 50
    everything.write_bytes(random.Random(3).randbytes(800_000))
    assert count_found(everything, pieces) == 0


def test_a_missing_venv_module_is_named_with_the_command_that_installs_it(hall: Hall) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        hall.shadow(name, "case $2 in *ensurepip*) exit 1;; esac")
    done = subprocess.run(
        [str(ROOT / ".ci/venv"), str(hall.temporary / "venv")],
        env={"PATH": f"{hall.shadows}{os.pathsep}/usr/bin{os.pathsep}/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "sudo apt-get install --yes python3-venv" in done.stderr
    assert hall.is_empty()


def test_a_python_that_is_too_old_is_named_with_the_command_that_installs_one(hall: Hall) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        hall.shadow(name, "exit 1")
    done = subprocess.run(
        [str(ROOT / ".ci/venv"), str(hall.temporary / "venv")],
        env={"PATH": f"{hall.shadows}{os.pathsep}/usr/bin{os.pathsep}/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "sudo apt-get install --yes python3\n" in done.stderr
