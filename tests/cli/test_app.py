"""The root command: nouns, global options, and how a run ends."""

import fcntl
import inspect
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperCommand, TyperGroup

from qekm.errors import EXIT_CODES, QekmError, UnknownKey
from qekm_cli.app import NOUNS, load, run
from qekm_cli.commands import Guarded
from qekm_cli.connection import Invocation
from qekm_cli.family import VERBS
from tests.waiting import PATIENCE_S, wait_for

from .conftest import Qekm
from .fake_service import FakeService
from .installation import Installation

COMMANDS = [
    *("init", "diagnose", "doctor bundle", "completion"),
    *("audit list", "audit verify", "audit checkpoints"),
    *("login", "logout", "top", "report"),
    *(f"accounts {verb}" for verb in ("list", "add", "passwd", "reset", "unlock", "remove")),
    *(f"config {verb}" for verb in ("list", "get", "set", "unset", "refresh", "export", "import")),
    *(f"server {verb}" for verb in ("start", "stop", "status", "version")),
    *VERBS,
    *("errors list", "errors explain", "keys of", "cartridges list", "cartridges of"),
    *(f"keys {verb}" for verb in ("list", "show", "generate", "export", "import")),
    *(f"keys {verb}" for verb in ("deactivate", "compromise", "destroy", "keep")),
    *(f"peers {verb}" for verb in ("invite", "join", "accept", "list", "status", "remove", "rejoin", "sync")),
    *(f"alarms {verb}" for verb in ("list", "test")),
    *(f"approvals {verb}" for verb in ("list", "approve", "refuse")),
    *(f"backup {verb}" for verb in ("create", "list", "verify", "drill", "schedule", "restore")),
    *(f"keystore {verb}" for verb in ("status", "unlock", "lock", "passwd", "rotate")),
    *(f"keystore slots {verb}" for verb in ("list", "remove", "test")),
    *(f"keystore slots add {kind}" for kind in ("password", "key-file", "shares", "pkcs11")),
    *(f"groups {verb}" for verb in ("list", "show", "create", "modify", "delete", "move")),
    *(f"drives {verb}" for verb in ("list", "show", "add", "accept", "reject", "modify", "remove")),
    *("drives blocked list", "drives blocked remove", "drives export", "drives import"),
    *(f"drives authorities {verb}" for verb in ("list", "add", "remove")),
    *(f"certificates {verb}" for verb in ("issue", "list", "revoke", "renew", "trust")),
    *(f"certificates {verb}" for verb in ("export", "import", "partners", "forget")),
    *(f"certificates rollover {verb}" for verb in ("start", "finish")),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation.make(tmp_path_factory.mktemp("app") / "bin")


def verbs() -> Iterator[tuple[list[str], TyperCommand]]:
    """Yield every command with the words that call it."""

    def below(words: list[str], command: object) -> Iterator[tuple[list[str], TyperCommand]]:
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                yield from below([*words, name], inner)
        elif isinstance(command, TyperCommand):
            yield words, command

    for name in (*NOUNS, *VERBS):
        yield from below([name], load(name))


def test_every_command_is_there_and_nothing_else() -> None:
    assert sorted(" ".join(words) for words, _ in verbs()) == sorted(COMMANDS)


def test_every_command_that_takes_a_secret_is_guarded_and_one_that_takes_none_is_not() -> None:
    secrets = {"password_file", "password_fd", "new_password_file", "key_file", "shares", "pin_file"}
    for words, command in verbs():
        takes = not secrets.isdisjoint(parameter.name or "" for parameter in command.params)
        assert isinstance(command, Guarded) is takes, words


def test_every_command_helps_and_every_option_says_what_it_is(qekm: Qekm) -> None:
    for words, command in verbs():
        for option in ("--help", "-h"):
            told = qekm(*words, option)
            assert told.code == 0
            assert told.out.startswith(f"Usage: qekm {' '.join(words)}")
        assert command.help, words
        for parameter in command.params:
            assert getattr(parameter, "help", ""), (words, parameter.name)


def test_the_help_of_the_root_lists_the_nouns_and_fits_eighty_columns(qekm: Qekm) -> None:
    told = qekm("--help")
    assert told.code == 0
    for name, (_, line) in NOUNS.items():
        assert any(row.split(maxsplit=1) == [name, line] for row in told.lines), name
    assert max(map(len, told.lines)) <= 80


def test_a_noun_without_verbs_of_its_own_says_the_same_in_its_help() -> None:
    for name, (_, line) in NOUNS.items():
        command = load(name)
        if not isinstance(command, TyperGroup) and name != "completion":
            first = inspect.cleandoc(command.help or "").splitlines()[0]
            assert first.split(",")[0].split(";")[0].rstrip(".") == line.split(",")[0].rstrip("."), name


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "--home", "/h", "--target", "t:1", "--identity", "anna", "keys", "list"),
        ("keys", "list", "--json", "--home", "/h", "--target", "t:1", "--identity", "anna"),
        ("--home", "/h", "keys", "list", "--target=t:1", "--identity=anna", "--json"),
    ],
)
def test_global_options_are_taken_before_and_after_the_verb(
    qekm: Qekm, service: FakeService, words: tuple[str, ...]
) -> None:
    assert len(qekm(*words).document["keys"]) == 6
    assert service.connections == [("/h", "t:1", "anna")]


def test_without_options_the_administrator_of_the_default_home_asks(qekm: Qekm, service: FakeService) -> None:
    qekm("keys", "list")
    assert service.connections == [(None, None, "administrator")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "missing command"),
        (("kyes",), "no such command 'kyes'. Did you mean 'keys'?"),
        (("keys",), "missing command"),
        (("keys", "lits"), "no such command 'lits'. Did you mean 'list'?"),
        (("--colour",), "no such option: --colour"),
        (("keys", "list", "--groop", "x"), "no such option: --groop"),
        (("--home",), "--home"),
        (("--target", "x", "keys", "list"), "'--target': 'x' is not HOST:PORT, for example 127.0.0.1:3802"),
        (("keys", "list", "--target", "::1:3802"), "is not HOST:PORT"),
        (("keys", "list", "--target", "h:70000"), "is not HOST:PORT"),
        (
            ("keys", "list", "--identity", "../../etc/x"),
            "'--identity': '../../etc/x' is not the name of a certificate",
        ),
        (("keys", "list", "--identity", ".hidden"), "is not the name of a certificate"),
        (("keys", "show", "\x1b[2J"), "\\x1b"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(qekm: Qekm, words: tuple[str, ...], told: str) -> None:
    ended = qekm(*words)
    assert ended.code == (3 if "show" in words else 2)
    assert ended.out == ""
    assert ended.err.startswith("qekm: error: ")
    assert "qekm: hint: " in ended.err
    assert told in ended.err


def test_addresses_in_brackets_are_targets(qekm: Qekm, service: FakeService) -> None:
    assert qekm("keys", "list", "--target", "[::1]:3802").code == 0
    assert service.connections[0][1] == "[::1]:3802"


def test_every_category_of_error_ends_with_its_code(service: FakeService, qekm: Qekm) -> None:
    for category, code in EXIT_CODES.items():
        service.server.away = category("so it is", hint="do this")
        told = qekm("server", "stop", "--target", "t:1")
        assert (told.code, told.err) == (code, "qekm: error: so it is\nqekm: hint: do this\n")


def test_an_error_without_advice_gives_no_hint(service: FakeService, qekm: Qekm) -> None:
    service.server.away = UnknownKey("one\ntwo", hint="")
    assert qekm("server", "stop", "--target", "t:1").err == "qekm: error: one\nqekm: error: two\n"


def test_what_is_unforeseen_is_no_traceback(
    service: FakeService, qekm: Qekm, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.server.away = RuntimeError("boom")  # type: ignore[assignment]
    told = qekm("server", "stop", "--target", "t:1")
    assert told.code == 1
    assert told.err.startswith("qekm: error: unforeseen RuntimeError: boom\nqekm: hint: this is a defect")
    monkeypatch.setenv("QEKM_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        qekm("server", "stop", "--target", "t:1")


def test_an_interrupt_ends_quietly_with_130(service: FakeService, qekm: Qekm) -> None:
    service.server.away = KeyboardInterrupt()  # type: ignore[assignment]
    told = qekm("server", "stop", "--target", "t:1")
    assert (told.code, told.out, told.err) == (130, "", "")


def unread(pipe: Any) -> int:
    """Return how many bytes of a pipe nobody has read."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_control_c_ends_the_program_quietly(installed: Installation) -> None:
    words = [str(installed.directory / "qekm"), "init", "--password-fd", "0"]
    words += ["--no-command-password", "--no-shares", "--protect", "none"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe) as program:
        assert program.stdin is not None
        program.stdin.write(b"half a pass")
        program.stdin.flush()
        wait_for(lambda: unread(program.stdin) == 0)  # it has read that, and waits for the rest
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=PATIENCE_S)
    assert (program.returncode, out, err) == (130, b"", b"")


def test_a_reader_that_goes_away_is_no_error_message(installed: Installation) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [str(installed.directory / "qekm"), "--help"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_closed_and_full_outputs_are_no_traceback(installed: Installation) -> None:
    for redirection, code in ((">&-", 0), ("2>&-", 0), (">/dev/full", 2)):
        done = subprocess.run(
            ["bash", "-c", f"{installed.directory}/qekm --help {redirection}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert "Traceback" not in done.stderr


def test_a_terminal_that_cannot_show_a_character_gets_an_escape(installed: Installation) -> None:
    done = installed.run(
        "keys", "show", "ö", environment={"PYTHONIOENCODING": "ascii", "QEKM_HOME": "/nonexistent-ö"}
    )
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    assert "\\xf6" in done.stderr


def test_a_run_raises_nothing_whatever_happens(service: FakeService) -> None:
    class Odd(BaseException):
        pass

    for error in (
        Odd(),
        SystemExit(3),
        SystemExit("x"),
        EOFError(),
        BrokenPipeError(),
        OSError(28, "No space left"),
    ):
        service.server.away = error  # type: ignore[assignment]
        ending = run(["server", "stop", "--target", "t:1"], Invocation(connect=service.connect))
        assert 0 <= ending.code < 256


def test_errors_that_the_tree_gains_have_a_code_too() -> None:
    def leaves(kind: type[QekmError]) -> Iterator[type[QekmError]]:
        for below in kind.__subclasses__():
            yield below
            yield from leaves(below)

    from qekm_cli.exits import MEANINGS, ending_of

    for leaf in leaves(QekmError):
        assert ending_of(leaf("m")).code in set(MEANINGS) - {0, 1}, leaf
