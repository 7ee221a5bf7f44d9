"""The command `qekm`: the nouns, each loaded only when it is named, and one place where a run ends.

Start-up is what an operator feels: neither this module nor what it imports loads grpc or cryptography
(tests/cli/test_start.py measures it).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from qekm.text import printable
from qekm_cli.commands import SETTINGS, global_options
from qekm_cli.connection import Invocation
from qekm_cli.exits import TRACEBACK, Ending, ending_of
from qekm_cli.family import VERBS

PROGRAM = "qekm"
COMPLETE = "_QEKM_COMPLETE"  # set by the completion scripts

# Name on the command line: module, and the one line of `qekm --help`.
NOUNS = {
    "init": ("init", "Make a key manager: keys, certificates, settings."),
    "server": ("server", "Start, stop and watch the service and the gateway."),
    "top": ("top", "Watch drives, serving, pool, servers and failures, live."),
    "login": ("login", "Log in with the command password for some minutes."),
    "logout": ("logout", "End the session that qekm login began."),
    "accounts": ("accounts", "Command passwords: who has one, new ones, locks."),
    "keys": ("keys", "Data keys."),
    "cartridges": ("cartridges", "Which cartridge was written with which key."),
    "keystore": ("keystore", "What opens the keystore: slots, passwords, rotation."),
    "backup": ("backup", "Backups: made, proved, drilled, restored."),
    "peers": ("peers", "The estate's servers: invited, joined, compared, removed."),
    "alarms": ("alarms", "What is not as it should be, and who hears of it."),
    "approvals": ("approvals", "What one person asked for and another decides."),
    "groups": ("groups", "Key groups, from which keys are given out."),
    "drives": ("drives", "Tape drives and the authorities that name them."),
    "config": ("config", "Properties: what is set, what may be set, changes."),
    "audit": ("audit", "The audit trail."),
    "report": ("report", "Report a span of time, as a file for an auditor."),
    "certificates": ("certificates", "Who may call what: certificates of people and gateways."),
    "diagnose": ("diagnose", "Test the whole path to a key with a drive of our own."),
    "doctor": ("doctor.app", "What is broken, from this disk to the service, and what to do."),
    "errors": ("errors", "What a code or an error means, and what to do."),
    "completion": ("completion", "Print the completion script of a shell."),
}
HELP = "Q-EKM, the open key manager for tape drives."
EPILOG = (
    "Exit codes: 0 done, 2 bad argument, 5 bad verdict, 10 no answer; all of them: docs/exit-codes.md. "
    "The original's verbs are taken, too: qekm help lists them."
)


def load(name: str) -> TyperCommand | TyperGroup:
    """Import the module of a noun, or of a verb of the original's, and return its commands."""
    if name in VERBS:
        verbs = get_command(import_module(f"qekm_cli.family.{VERBS[name].module}").app)
        assert isinstance(verbs, TyperGroup)
        verb = verbs.commands[name]
        assert isinstance(verb, TyperCommand)
        return verb
    module, line = NOUNS[name]
    command = get_command(import_module(f"qekm_cli.{module}").app)
    assert isinstance(command, TyperCommand | TyperGroup)
    if isinstance(command, TyperGroup):
        command.help = line
    return command


class Nouns(TyperGroup):
    """The root: help needs the one-liners only, so a noun's module is imported when it is called."""

    def __init__(self) -> None:
        super().__init__(
            name=PROGRAM,
            help=HELP,
            epilog=EPILOG,
            params=[*global_options(hidden=False)],
            commands={
                **{name: TyperCommand(name, hidden=True) for name in VERBS},
                **{name: TyperCommand(name, short_help=line) for name, (_, line) in NOUNS.items()},
            },
            context_settings=SETTINGS,
            rich_markup_mode=None,
        )

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the first argument names, and load it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and found else None, rest


def complete(instruction: str) -> int:
    """Print a completion script (source_bash) or what completes the shell's words (complete_bash)."""
    from typer import completion

    completion.completion_init()  # type: ignore[attr-defined]  # typer calls it only for options that we do not have
    return completion.shell_complete(Nouns(), {}, PROGRAM, COMPLETE, instruction)


def run(arguments: Sequence[str], told: Invocation | None = None) -> Ending:
    """Run one command line of `qekm` and return how it ended; raises as `run_command` does."""
    if os.environ.get(COMPLETE):
        return Ending(complete(os.environ[COMPLETE]))
    return run_command(PROGRAM, Nouns(), arguments, told or Invocation())


def run_command(
    program: str, command: TyperCommand | TyperGroup, arguments: Sequence[str], told: Invocation
) -> Ending:
    """Run one command line of a program and return how it ended; raises only if QEKM_TRACEBACK is set."""
    try:
        with command.make_context(program, list(arguments), obj=told) as context:
            command.invoke(context)
        print(end="", flush=True)
    except BaseException as error:
        if os.environ.get(TRACEBACK) and not isinstance(error, typer.Exit | typer.TyperException):
            raise
        return ending_of(error)
    return Ending(0)


def say(ending: Ending, program: str = PROGRAM) -> None:
    """Tell on standard error what went wrong and what to do."""
    for kind, text in (("error", ending.message), ("hint", ending.hint)):
        for line in text.splitlines():
            print(f"{program}: {kind}: {printable(line)}", file=sys.stderr)


def main() -> NoReturn:
    """Run `qekm` and end the process with its exit code."""
    end_with(PROGRAM, lambda: run(sys.argv[1:]))


def end_with(program: str, act: Callable[[], Ending]) -> NoReturn:
    """Run a program and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a subject or a message may not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    ending = act()
    with suppress(OSError):  # who reads may be gone; the act flushed what went well and told what did not
        say(ending, program)
        print(end="", flush=True)
    # Output is written and connections are closed. Taking the interpreter apart, grpc's threads and all,
    # would be a sixth of the time of `qekm server status`.
    os._exit(ending.code)
