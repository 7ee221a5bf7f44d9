"""Pages of the programs that read their command line with argparse: service, gateway, simulator."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from deploy.manual.commands import EXITS, FILES, SETTINGS
from deploy.manual.roff import Page
from qekm import server
from qekm_gateway import server as gateway
from qekm_gateway.simulator import app as simulator

PAGES = {"qekm-server": 8, "qekm-gateway": 8, "qekm-simulator": 1}  # qekm-server(1) is `qekm server`
PURPOSES = {
    "qekm-server": "run the key service, and do what is done while it does not run",
    "qekm-gateway": "take tape drives and hand what they ask to the key service",
    "qekm-simulator": "play tape drives and a library",
}


def pages(date: str) -> Iterator[Page]:
    """Yield the pages of the three programs."""
    for parser in (server._parser(), gateway._parser(), simulator._parser()):
        name = parser.prog
        page = Page.begin(name, PAGES[name], PURPOSES[name], date)
        page.head("SYNOPSIS")
        commands = list(_commands(parser))
        for each, _ in commands:
            words, _, rest = _usage(each)
            page.synopsis(words, (rest,))
        page.head("DESCRIPTION")
        page.text(str(parser.description))
        for each, text in commands:
            page.subhead(_usage(each)[0])
            page.text(_sentence(text))
            _items(page, each)
        if name != "qekm-simulator":  # which has numbers of its own
            page.head("EXIT STATUS")
            for code, text in EXITS.items():
                page.item(code, text)
        page.head("FILES")
        for path, text in FILES.items():
            page.item(path, text)
        page.see_also(("qekm", 1), *(each for each in PAGES.items() if each[0] != name), SETTINGS)
        yield page


def _commands(
    parser: argparse.ArgumentParser, help_text: str = ""
) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Yield the parsers of a tree that are acts, each with its line of help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            lines = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, child in action.choices.items():
                yield from _commands(child, lines.get(name, ""))
            return
    yield parser, help_text or parser.description or ""


def _usage(parser: argparse.ArgumentParser) -> tuple[str, str, str]:
    """Return the words of a command, a space, and what may follow."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return parser.prog, " ", usage.removeprefix(parser.prog).strip()


def _items(page: Page, parser: argparse.ArgumentParser) -> None:
    formatter = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
            continue
        title = formatter._format_action_invocation(action)
        page.item(title, _sentence(formatter._expand_help(action) if action.help else ""))


def _sentence(text: str) -> str:
    """Return a line of help as a sentence, as those of the other pages are."""
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}." if text else ""
