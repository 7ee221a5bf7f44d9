"""Pages of programs whose commands are a typer tree: `qekm`, its nouns, and the original's commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from deploy.manual.roff import Page
from qekm_cli import originals
from qekm_cli.app import HELP, NOUNS, PROGRAM, Nouns, load
from qekm_cli.family import VERBS

ENVIRONMENT = {
    "QEKM_HOME": "Directory of the key manager, if not /var/lib/qekm.",
    "QEKM_IDENTITY": "Certificate to show, as --identity.",
}
FILES = {
    "/var/lib/qekm": "The key manager: settings, store, certificates. Root acts as the user who owns it.",
    "/etc/default/qekm": "Environment of the service and the gateway.",
}
EXITS = {
    "0": "Done.",
    "2": "An argument, a file or a setting cannot be used.",
    "5": "A check ran and its verdict is bad.",
    "10": "The service or the gateway does not answer.",
}
SERVERS = ("qekm-server", 8), ("qekm-gateway", 8)
SETTINGS = "KeyManagerConfig.properties", 5


def pages(date: str) -> Iterator[Page]:
    """Yield the page of `qekm`, one for each noun, and one for each of the original's commands."""
    yield _root(date)
    for name, (_, line) in NOUNS.items():
        page = Page.begin(f"{PROGRAM}-{name}", 1, _purpose(line), date)
        page.head("SYNOPSIS")
        command = load(name)
        for words, each in _leaves(f"{PROGRAM} {name}", command):
            page.synopsis(words, _context(words, each).command.collect_usage_pieces(_context(words, each)))
        page.head("DESCRIPTION")
        for words, each in _leaves(f"{PROGRAM} {name}", command):
            _describe(page, words, each, several=words != f"{PROGRAM} {name}")
        page.see_also((PROGRAM, 1), *SERVERS, SETTINGS)
        yield page
    yield from _originals(date)


def _root(date: str) -> Page:
    page = Page.begin(PROGRAM, 1, "administer the key manager for tape drives", date)
    page.head("SYNOPSIS")
    page.synopsis(PROGRAM, ("[OPTIONS]", "COMMAND", "[ARGS]..."))
    page.head("DESCRIPTION")
    page.text(HELP, "Each command has a page of its own, named as qekm-keys(1).")
    page.head("OPTIONS")
    page.text("They are taken before and after a command.")
    root = Nouns()
    _options(page, root, _context(PROGRAM, root))
    page.head("COMMANDS")
    for name, (_, line) in NOUNS.items():
        page.item(f"{PROGRAM} {name}", line)
    page.head("VERBS OF THE ORIGINAL")
    for name, place in VERBS.items():
        page.item(f"{PROGRAM} {name}", f"As: {place.ours}" if place.ours else str(load(name).help))
    _ends(page)
    page.see_also(*((f"{PROGRAM}-{name}", 1) for name in NOUNS), *SERVERS, SETTINGS)
    return page


def _originals(date: str) -> Iterator[Page]:
    commands: Any = get_command(originals.app)
    for name, command in commands.commands.items():
        page = Page.begin(name, 1, _purpose(str(command.help).partition("\n")[0]), date)
        page.head("SYNOPSIS")
        page.synopsis(name, _context(name, command).command.collect_usage_pieces(_context(name, command)))
        page.head("DESCRIPTION")
        page.text(str(command.help), "A command of the original's, with its prompts and its answers.")
        page.head("OPTIONS")
        _options(page, command, _context(name, command))
        _ends(page)
        page.see_also((PROGRAM, 1), *((other, 1) for other in commands.commands if other != name))
        yield page


def _leaves(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield the commands of a tree that are acts, each with its words."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    if command.invoke_without_command and not command.no_args_is_help:
        yield words, command
    for name, child in command.commands.items():
        if not child.hidden:
            yield from _leaves(f"{words} {name}", child)


def _describe(page: Page, words: str, command: Any, *, several: bool) -> None:
    if several:
        page.subhead(words)
    page.text(*str(command.help or "").split("\n\n"))
    _options(page, command, _context(words, command))


def _options(page: Page, command: Any, context: Any) -> None:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[0] != "--help":
            page.item(*record)


def _ends(page: Page) -> None:
    for title, rows in (("EXIT STATUS", EXITS), ("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)):
        page.head(title)
        for name, text in rows.items():
            page.item(name, text)


def _context(words: str, command: Any) -> Any:
    return typer.Context(command, info_name=words)


def _purpose(line: str) -> str:
    """Return a line of help as NAME has it."""
    text = line.removesuffix(".")
    return text[:1].lower() + text[1:]
