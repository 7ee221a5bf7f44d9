"""Whether a command line of ours exists: `qekm`, `qekm-server`, and the other programs that are installed."""

from __future__ import annotations

import argparse
import shlex
import tomllib
from typing import Any

from typer.core import TyperCommand, TyperGroup

from qekm import server
from qekm_cli.app import PROGRAM, Nouns
from qekm_cli.connection import Invocation
from tests.pages import ROOT

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]


def leaf_of(context: Any) -> tuple[TyperCommand | TyperGroup | None, list[str]]:
    """Return the command that a root context's words lead to, None if there is none, and the words left."""
    found, words = context.command, [*context._protected_args, *context.args]
    while isinstance(found, TyperGroup) and words:
        if found.invoke_without_command and words[0].startswith("-"):
            break  # options of a noun that does its work without a verb
        _, found, words = found.resolve_command(context, words)
    return found, words


def options_of(command: TyperCommand | TyperGroup) -> set[str]:
    """Return every option that a command takes."""
    with command.make_context("x", [], resilient_parsing=True) as context:
        parameters = command.get_params(context)
    return {option for each in parameters for option in (*each.opts, *each.secondary_opts)}


def misspelt(line: str) -> list[str]:
    """Return what of a command line does not exist: its options, or all of it."""
    program, *words = shlex.split(line)
    if program == PROGRAM:
        return _misspelt_to_qekm(words)
    if program == server.PROGRAM:
        return _misspelt_to_server(words)
    return [] if program in SCRIPTS else [program]


def _misspelt_to_qekm(words: list[str]) -> list[str]:
    with Nouns().make_context(PROGRAM, words, obj=Invocation(), resilient_parsing=True) as context:
        command, rest = leaf_of(context)
    if command is None:
        return words
    given = [word.partition("=")[0] for word in rest if word.startswith("-")]
    return [option for option in given if option not in options_of(command)]


def _misspelt_to_server(words: list[str]) -> list[str]:
    parser: argparse.ArgumentParser | None = server._parser()
    for place, word in enumerate(words):
        acts = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        if word.startswith("-") or not acts:
            options = {option for each in parser._actions for option in each.option_strings}
            return [each for each in words[place:] if each.startswith("-") and each not in options]
        parser = acts[0].choices.get(word)
        if parser is None:
            return words
    return []
