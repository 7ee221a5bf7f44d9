"""`qekm init --from DIR`: passwords are asked for, tried, handed over; here to a program that tells of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .installation import Installation
from .terminal import typed
from .test_init import ALONE

# Keys open with "right horse", which is not the password of every keystore.
TELL = """
words = sys.argv[1:]
def read(option):
    return os.read(int(words[words.index(option) + 1]), 2000).decode() if option in words else None
told = {"words": words, "keystore": read("--keystore-password-fd"), "key": read("--key-password-fd")}
told["environment"] = dict(os.environ)
with open(os.environ["TOLD"], "a") as file:
    file.write(json.dumps(told) + "\\n")
if told["keystore"] == "wrong horse\\n":
    print("qekm-server: error: wrong", file=sys.stderr)
    sys.exit(2)
if words[0] == "survey":
    opened = (told["key"] or told["keystore"]) == "right horse\\n"
    print(json.dumps({"keys": 1, "drives": 0, "opened": opened}))
else:
    print("made")
"""


class Cli:
    """`qekm init --from` with a program in the place of qekm-server, and what that was told."""

    def __init__(self, path: Path) -> None:
        """Install both, and keep passwords in files."""
        self.path = path
        self.installed = Installation.make(path / "bin", qekm_server=TELL)
        (path / "old").mkdir()
        for name in ("right horse", "other horse", "wrong horse"):
            (path / name.split()[0]).write_text(f"{name}\n")

    def init(self, *words: str, **more: Any) -> Any:
        """Run it without a terminal."""
        environment = {"TOLD": str(self.path / "told")}
        line = ["init", "--home", str(self.path / "h"), "--from", "old", *words, *ALONE]
        return self.installed.run(*line, environment=environment, cwd=self.path, **more)

    def file(self, option: str, name: str) -> tuple[str, str]:
        """Return an option that names the file of a password."""
        return option, str(self.path / name)

    def told(self) -> list[dict[str, Any]]:
        """Return what the program was told, call by call."""
        file = self.path / "told"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_the_password_is_tried_first_and_then_handed_over(cli: Cli) -> None:
    done = cli.init(*cli.file("--keystore-password-file", "right"), "--drives", "d.csv")
    assert (done.returncode, done.stdout) == (0, "made\n"), done.stderr
    survey, init = cli.told()
    named = ["--from", str(cli.path / "old"), "--drives", str(cli.path / "d.csv")]
    assert survey["words"][:7] == ["survey", "--home", str(cli.path / "h"), *named]
    assert init["words"][0] == "init"
    assert " ".join(named) in " ".join(init["words"])
    assert [each["keystore"] for each in (survey, init)] == ["right horse\n"] * 2
    for call in (survey, init):
        assert "horse" not in json.dumps([call["words"], call["environment"]])


def test_properties_are_known_to_both(cli: Cli) -> None:
    cli.init(*cli.file("--keystore-password-file", "right"), "--property", "TransportListener.tcp.port=1")
    for call in cli.told():
        assert "TransportListener.tcp.port=1" in call["words"]


def test_a_wrong_password_ends_it_before_anything_is_made(cli: Cli) -> None:
    done = cli.init(*cli.file("--keystore-password-file", "wrong"))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "qekm-server: error: wrong\n")
    assert [call["words"][0] for call in cli.told()] == ["survey"]


def test_another_password_of_the_keys_is_needed_only_if_it_is_another(cli: Cli) -> None:
    store = cli.file("--keystore-password-file", "other")
    done = cli.init(*store, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "the keys in the old keystore have another password" in done.stderr
    assert "--key-password-file" in done.stderr
    done = cli.init(*store, *cli.file("--key-password-file", "other"))
    assert (done.returncode, "does not open the keys" in done.stderr) == (2, True)
    reader, writer = os.pipe()
    os.write(writer, b"right horse\n")
    os.close(writer)
    done = cli.init(*store, "--key-password-fd", str(reader), pass_fds=(reader,))
    os.close(reader)
    assert done.returncode == 0, done.stderr
    assert (cli.told()[-1]["keystore"], cli.told()[-1]["key"]) == ("other horse\n", "right horse\n")


def test_without_a_terminal_the_missing_option_is_named(cli: Cli) -> None:
    done = cli.init(stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "--keystore-password-file or --keystore-password-fd" in done.stderr
    assert cli.told() == []


def test_on_a_terminal_they_are_asked_for_once_and_not_shown(cli: Cli) -> None:
    line = [str(cli.installed.directory / "qekm"), "init", "--from", str(cli.path / "old"), *ALONE]
    environ = {"TOLD": str(cli.path / "told")}
    code, screen = typed(line, ["right horse"], environ)
    assert code == 0, screen
    assert screen.startswith("Password of the old keystore: |")
    code, screen = typed(line, ["other horse", "right horse"], environ)
    assert code == 0, screen
    assert "Password of the keys in it, which have another: |" in screen
    assert "horse" not in screen
    code, screen = typed(line, ["short"], environ)
    assert (code, "6 to 1,024 characters" in screen) == (2, True)


def test_programs_are_told_where_the_report_is(cli: Cli) -> None:
    done = cli.init(*cli.file("--keystore-password-file", "right"), "--json")
    assert json.loads(done.stdout)["takeover"] == str(cli.path / "h" / "takeover.txt")
