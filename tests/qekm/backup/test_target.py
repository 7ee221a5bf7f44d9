"""Where backups go, and the command that copies them away."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from qekm.backup.target import Target
from qekm.configuration.settings import Settings
from qekm.errors import BackupFailed, BadConfiguration, NoBackupTarget


def settings(path: Path, *lines: str) -> Settings:
    """Return settings of these lines."""
    file = path / "some.properties"
    file.write_text("\n".join(lines or ["grpc.port=0"]))
    return Settings.load(file, {})


def test_the_configuration_names_it(tmp_path: Path) -> None:
    found = Target.of(
        settings(
            tmp_path,
            "backup.target=/mnt/backups",
            "backup.sameDisk=true",
            "backup.command=/usr/bin/scp -q 'a b'",
            "backup.commandTimeout=7",
        ),
        Path("/home"),
    )
    assert found == Target(Path("/mnt/backups"), True, ("/usr/bin/scp", "-q", "a b"), 7)
    relative = Target.of(settings(tmp_path, "backup.target=backups"), tmp_path)
    assert relative == Target(tmp_path / "backups")
    assert Target.of(settings(tmp_path), tmp_path) is None


def test_a_command_that_is_no_words_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"line 1: backup\.command must be words"):
        settings(tmp_path, "backup.command=/bin/cp 'x")


def test_the_directory_must_be_there_and_is_never_made(tmp_path: Path) -> None:
    Target(tmp_path).check()
    for path in (tmp_path / "none", Path(__file__)):
        with pytest.raises(NoBackupTarget, match="is not there"):
            Target(path).check()
    assert not (tmp_path / "none").exists()


def test_another_file_system_is_told_from_the_stores_own(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert not Target(tmp_path).is_elsewhere(tmp_path / "store")
    assert Target(Path("/proc")).is_elsewhere(tmp_path)


def test_a_file_system_in_memory_is_no_second_place(tmp_path: Path) -> None:
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    places = [Path(front.split()[4]) for front, back in mounts if back.startswith("tmpfs ")]
    if not places:
        pytest.skip("nothing is mounted in memory here")
    assert [place for place in places if place.is_dir() and Target(place).is_elsewhere(tmp_path)] == []


async def test_a_command_gets_the_path_as_its_last_word_and_no_shell(tmp_path: Path) -> None:
    file = tmp_path / "a $(touch x) b.qbk"
    file.write_bytes(b"backup")
    away = tmp_path / "away"
    away.mkdir()
    await Target(tmp_path, command=("/bin/cp", "-t", str(away))).copy_away(file)
    assert (away / file.name).read_bytes() == b"backup"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("/bin/sh", "-c", "echo no route >&2; exit 3"), "sh ended with 3: no route"),
        (("/bin/sh", "-c", "exit 1"), "sh ended with 1$"),
        (("/nonexistent/cp",), "cannot be run: No such file"),
        (("/bin/sh", "-c", "kill -9 $$"), "ended with -9"),
        (("/bin/sh", "-c", "head -c 10000000 /dev/zero; exit 1"), "ended with 1"),
    ],
)
async def test_a_command_that_fails_says_why(tmp_path: Path, command: tuple[str, ...], told: str) -> None:
    with pytest.raises(BackupFailed, match=told):
        await Target(tmp_path, command=command).copy_away(tmp_path / "x")


async def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; wait"
    begun = time.monotonic()
    with pytest.raises(BackupFailed, match="did not end within 1 s"):
        await Target(tmp_path, command=("/bin/sh", "-c", script, "x"), timeout_s=1).copy_away(tmp_path / "x")
    assert time.monotonic() - begun < 3 * 10
    await asyncio.sleep(0.1)
    assert [pid for pid in pids.read_text().split() if _runs(int(pid))] == []


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
