"""`qekm init` becomes `qekm-server init`; here that is a program that tells how it was called."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from .installation import Installation

TELL = """
words = sys.argv[1:]
handed = words[words.index("--password-fd") + 1] if "--password-fd" in words else None
password = os.read(int(handed), 2000).decode() if handed else None
print(json.dumps({"words": words, "password": password, "environment": dict(os.environ)}))
print("making keys 50 %", file=sys.stderr)
sys.exit(4)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path / "bin", qekm_server=TELL)


def test_everything_is_passed_on_and_what_comes_back_is_passed_through(
    installed: Installation, tmp_path: Path
) -> None:
    told = ["--host", "a.example", "--host", "::1", "--property", "grpc.port=0"]
    done = installed.run("init", "--home", str(tmp_path / "h"), "--keys", "7", *told)
    assert done.returncode == 4
    assert done.stderr == "making keys 50 %\n"
    assert json.loads(done.stdout)["words"] == ["init", "--home", str(tmp_path / "h"), "--keys", "7", *told]


def test_programs_get_a_document_when_a_key_manager_was_made(tmp_path: Path) -> None:
    good = Installation.make(tmp_path / "good", qekm_server="print('prose')")
    done = good.run("init", "--json", "--home", str(tmp_path / "h"), "--keys", "5")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"home": str(tmp_path / "h"), "keys": 5})
    bad = Installation.make(tmp_path / "bad", qekm_server="sys.exit(4)")
    done = bad.run("init", "--json", "--home", str(tmp_path / "h"))
    assert (done.returncode, done.stdout) == (4, "")


def test_the_home_comes_from_the_environment_if_no_option_names_it(
    installed: Installation, tmp_path: Path
) -> None:
    done = installed.run("init", environment={"QEKM_HOME": str(tmp_path / "e")})
    assert json.loads(done.stdout)["words"] == ["init", "--home", str(tmp_path / "e"), "--keys", "1024"]


def test_a_key_file_is_named_by_its_whole_path(installed: Installation, tmp_path: Path) -> None:
    done = installed.run("--home", "h", "init", "--key-file", "k", cwd=tmp_path)
    words = json.loads(done.stdout)["words"]
    assert words[words.index("--home") + 1] == str(tmp_path / "h")
    assert words[words.index("--key-file") + 1] == str(tmp_path / "k")


def test_a_password_from_a_file_or_a_descriptor_is_in_no_argument_and_no_environment(
    installed: Installation, tmp_path: Path
) -> None:
    (tmp_path / "p").write_text("correct horse\n")
    reader, writer = os.pipe()
    os.write(writer, b"correct horse")
    os.close(writer)
    for words in (("--password-file", str(tmp_path / "p")), ("--password-fd", str(reader))):
        done = installed.run("init", *words, "--home", str(tmp_path / "h"), pass_fds=(reader,))
        told = json.loads(done.stdout)
        assert told["password"] == "correct horse\n"
        assert "horse" not in json.dumps([told["words"], told["environment"]])
    os.close(reader)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--keys", "-1"), "'--keys'"),
        (("--keys", "x"), "'x' is not a whole number from 0 to"),
        (("--slot", "usb"), "'--slot'"),
        (("--slot", "password"), "no terminal"),
        (("--slot", "key-file", "--password-fd", "3"), "not both"),
        (("--key-file", "k", "--password-fd", "3"), "not both"),
        (("--password-file", "no-such-file"), "no-such-file: No such file"),
        (("--password-file", "p", "--password-fd", "3"), "either --password-file or --password-fd"),
        (("--property", "x"), "'--property'"),
        (("here",), "unexpected extra argument"),
    ],
)
def test_what_is_wrong_is_named_before_anything_starts(
    installed: Installation, words: tuple[str, ...], told: str
) -> None:
    done = installed.run("init", *words, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stdout == ""
    assert told in done.stderr
