"""`qekm init` runs `qekm-server init`; here that is a program that tells how it was called."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from qekm_cli.proofs import read_shares

from .installation import Installation
from .terminal import typed

TELL = """
words = sys.argv[1:]
def named(option):
    return words[words.index(option) + 1] if option in words else None
def read(option):
    return os.read(int(named(option)), 2000).decode() if named(option) else None
passwords = [read("--password-fd"), read("--command-password-fd")]
if named("--shares"):
    count = int(named("--shares").split("/")[1])
    os.write(int(named("--shares-fd")), b"".join(b"share%d %s\\n" % (n, b"word " * 32) for n in range(count)))
print(json.dumps({"words": words, "passwords": passwords, "environment": dict(os.environ)}))
print("making keys 50 %", file=sys.stderr)
sys.exit(4 if named("--host") == "bad.example" else 0)
"""
ALONE = ("--no-password", "--no-command-password", "--no-shares", "--protect", "none")  # nothing is asked


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path / "bin", qekm_server=TELL)


def told(done: Any) -> Any:
    """Return what the program told of its call, without the descriptors' numbers."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def properties(words: list[str]) -> dict[str, str]:
    """Return the settings that were passed on."""
    pairs = [words[place + 1] for place, word in enumerate(words) if word == "--property"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_everything_is_passed_on_and_what_comes_back_is_passed_through(
    installed: Installation, tmp_path: Path
) -> None:
    hosts = ["--host", "bad.example", "--host", "::1"]
    words = ["--home", str(tmp_path / "h"), "--keys", "7"]
    done = installed.run("init", *words, *hosts, "--property", "grpc.port=0", *ALONE)
    assert (done.returncode, done.stderr) == (4, "making keys 50 %\n")
    settings = ["--property", "grpc.port=0", "--property", "keystore.protect=none"]
    assert json.loads(done.stdout)["words"] == ["init", *words, *settings, *hosts]


def test_programs_get_a_document_when_a_key_manager_was_made(tmp_path: Path) -> None:
    good = Installation.make(tmp_path / "good", qekm_server="print('prose')")
    done = good.run("init", "--json", "--home", str(tmp_path / "h"), "--keys", "5", *ALONE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"home": str(tmp_path / "h"), "keys": 5, "shares": []}
    bad = Installation.make(tmp_path / "bad", qekm_server="sys.exit(4)")
    done = bad.run("init", "--json", "--home", str(tmp_path / "h"), *ALONE)
    assert (done.returncode, done.stdout) == (4, "")


def test_the_home_comes_from_the_environment_if_no_option_names_it(
    installed: Installation, tmp_path: Path
) -> None:
    done = installed.run("init", *ALONE, environment={"QEKM_HOME": str(tmp_path / "e")})
    assert told(done)["words"][:5] == ["init", "--home", str(tmp_path / "e"), "--keys", "1024"]


def test_paths_are_passed_on_whole(installed: Installation, tmp_path: Path) -> None:
    where = ("--key-file", "k", "--backup-to", "b", "--same-disk", "--two-person", "off")
    done = installed.run("--home", "h", "init", *where, *ALONE[:3], cwd=tmp_path)
    words = told(done)["words"]
    assert words[words.index("--home") + 1] == str(tmp_path / "h")
    assert words[words.index("--key-file") + 1] == str(tmp_path / "k")
    assert properties(words) == {
        "backup.target": str(tmp_path / "b"),
        "backup.sameDisk": "true",
        "twoPerson": "off",
    }


def test_a_password_from_a_file_or_a_descriptor_is_in_no_argument_and_no_environment(
    installed: Installation, tmp_path: Path
) -> None:
    (tmp_path / "p").write_text("correct horse\n")
    reader, writer = os.pipe()
    os.write(writer, b"correct horse")
    os.close(writer)
    for words in (("--password-file", str(tmp_path / "p")), ("--password-fd", str(reader))):
        done = installed.run("init", *words, "--no-key-file", *ALONE[1:], pass_fds=(reader,))
        found = told(done)
        assert found["passwords"] == ["correct horse\n", None]
        assert "--no-key-file" in found["words"]
        assert "horse" not in json.dumps([found["words"], found["environment"]])
    os.close(reader)


def test_the_command_password_goes_the_same_way(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "k").write_text("correct horse\n")
    (tmp_path / "c").write_text("command horse\n")
    words = ("--password-file", str(tmp_path / "k"), "--command-password-file", str(tmp_path / "c"))
    found = told(installed.run("init", *words, *ALONE[2:], stdin=subprocess.DEVNULL))
    assert found["passwords"] == ["correct horse\n", "command horse\n"]
    assert "horse" not in json.dumps([found["words"], found["environment"]])
    with (tmp_path / "c").open() as file:
        words = ("--no-password", "--command-password-fd", str(file.fileno()))
        found = told(installed.run("init", *words, *ALONE[2:], pass_fds=(file.fileno(),)))
    assert found["passwords"] == [None, "command horse\n"]


def test_shares_are_written_into_private_files(installed: Installation, tmp_path: Path) -> None:
    place = tmp_path / "shares"
    words = ("--shares", "2/3", "--shares-dir", str(place), *ALONE[:2], *ALONE[3:])
    done = installed.run("init", "--home", str(tmp_path / "h"), *words, "--json")
    assert done.returncode == 0, done.stderr
    files = [place / f"share-{number}.txt" for number in (1, 2, 3)]
    assert json.loads(done.stdout)["shares"] == [str(file) for file in files]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert [share.split()[0] for share in read_shares(files)] == ["share0", "share1", "share2"]


def test_on_a_terminal_everything_that_was_not_given_is_asked_for(
    installed: Installation, tmp_path: Path
) -> None:
    program = [str(installed.directory / "qekm"), "init", "--home", str(tmp_path / "h")]
    lines = [str(tmp_path / "backups"), *["correct horse"] * 2, *["command horse"] * 2]
    code, screen = typed(program, lines)
    assert code == 0, screen
    assert "Directory for backups, on another file system: |" in screen
    found = json.loads(next(line for line in screen.splitlines() if line.startswith("{")))
    assert found["passwords"] == ["correct horse\n", "command horse\n"]
    assert screen.count("horse") == 2  # what the program told
    assert "Keystore password: |" in screen
    assert "Command password of administrator: |" in screen
    assert properties(found["words"]) == {"backup.target": str(tmp_path / "backups")}
    assert found["words"][found["words"].index("--shares") + 1] == "3/5"
    assert "5 recovery shares, of which any 3 open the keystore" in screen
    assert "share4 word" in screen
    code, screen = typed(program, [str(tmp_path / "backups"), "correct horse", "wrong horse"])
    assert (code, "the two passwords differ" in screen) == (2, True)
    code, screen = typed(program, [""])
    assert (code, "--protect none" in screen) == (2, True)


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ((), {"password", "command", "backup", "shares"}),
        (ALONE[1:2], {"password", "backup", "shares"}),
        (ALONE[:2], {"backup", "shares"}),
        (ALONE[:3], {"backup"}),
        ((*ALONE[:3], "--protect", "backup"), {"backup"}),
        ((*ALONE[:3], "--protect", "auto"), {"backup"}),
        ((*ALONE[:3], "--protect", "peer+backup"), {"backup"}),
        (("--no-password", "--protect", "peer"), {"command", "shares"}),
        (("--no-password", "--protect", "none"), {"command", "shares"}),
        (("--no-shares", "--property", "keystore.protect=none"), {"password", "command"}),
        (("--no-shares", *ALONE[1:2], "--property", "backup.target=x"), {"password"}),
    ],
)
def test_without_a_terminal_everything_that_is_missing_is_named_at_once(
    installed: Installation, words: tuple[str, ...], missing: set[str]
) -> None:
    done = installed.run("init", *words, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    options = {
        "password": " --password-fd",
        "command": "--no-command-password",
        "backup": "--backup-to",
        "shares": "--shares-dir",
    }
    assert {what for what, option in options.items() if option in done.stderr} == missing


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--keys", "-1"), "'--keys'"),
        (("--keys", "x"), "'x' is not a whole number from 0 to"),
        (("--shares", "5/3"), "is not M/N"),
        (("--shares", "3/5", *ALONE), "--shares and --no-shares contradict each other"),
        (("--shares-dir", "d", *ALONE), "--shares-dir and --no-shares contradict"),
        (("--no-key-file", *ALONE), "--no-key-file and --no-password contradict"),
        (("--key-file", "k", "--no-key-file"), "--key-file and --no-key-file contradict"),
        (("--password-fd", "3", *ALONE), "--password-fd and --no-password contradict"),
        (("--command-password-fd", "3", *ALONE), "--command-password-fd and --no-command-password contra"),
        (("--protect", "paper"), "'paper' is not one of auto, peer, backup, peer+backup, none"),
        (("--two-person", "maybe"), "'maybe' is not one of on, off"),
        (("--password-file", "no-such-file", *ALONE[1:]), "no-such-file: No such file"),
        (
            ("--password-file", "p", "--password-fd", "3", *ALONE[1:]),
            "either --password-file or --password-fd",
        ),
        (("--property", "x"), "'--property'"),
        (("here",), "unexpected extra argument"),
    ],
)
def test_what_is_wrong_is_named_before_anything_starts(
    installed: Installation, words: tuple[str, ...], said: str
) -> None:
    done = installed.run("init", *words, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
