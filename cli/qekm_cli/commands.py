"""What all commands share: the global options, which are taken before and after the verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from qekm_cli.connection import PARSERS, Invocation

SETTINGS = {"help_option_names": ["-h", "--help"]}


def _keep(context: Any, parameter: Any, value: Any) -> None:
    """Store a global option's value, if it was given, in the run's Invocation."""
    check = PARSERS.get(parameter.name)
    if not (value is None or value is False):
        told = context.find_root().obj
        if isinstance(told, Invocation):  # completion parses without one
            setattr(told, parameter.name, check(value) if check else value)


def global_options(*, hidden: bool) -> list[TyperOption]:
    """Return new instances of the options that every command takes."""

    def option(declaration: str, help_text: str, **more: Any) -> TyperOption:
        return TyperOption(
            param_decls=[declaration],
            help=help_text,
            hidden=hidden,
            expose_value=False,
            callback=_keep,
            **more,
        )

    return [
        option(
            "--home", "Directory of the key manager (QEKM_HOME, else /var/lib/qekm).", type=str, metavar="DIR"
        ),
        option("--target", "Service to talk to, if not the home's own.", type=str, metavar="HOST:PORT"),
        option("--identity", "Certificate to show: pki/NAME.pem (QEKM_IDENTITY).", type=str, metavar="NAME"),
        option(
            "--command-password-file", "Read the command password from this file.", type=str, metavar="FILE"
        ),
        option(
            "--command-password-fd",
            "Read it from this open descriptor.",
            type=whole_number(0, 2**20),
            metavar="N",
        ),
        option("--json", "Print one JSON document instead of a table.", is_flag=True),
    ]


def kept(name: str, help_text: str, **more: Any) -> TyperOption:
    """Return an option whose value goes into the run's Invocation.given, where any function finds it.

    For what many verbs take alike, or one verb takes so much of that no function should.
    """
    return TyperOption(
        param_decls=[name], help=help_text, expose_value=False, callback=_give, default=None, **more
    )


def _give(context: Any, parameter: Any, value: Any) -> None:
    told = context.find_root().obj
    if not (value is None or value is False or value == ()) and isinstance(told, Invocation):
        told.given[parameter.name] = value


def whole_number(least: int, most: int) -> Callable[[Any], int]:
    """Return a parser of whole numbers from `least` to `most`, both included."""

    def number(text: Any) -> int:
        digits = str(text)
        if digits.isascii() and digits.isdecimal() and len(digits) < 20 and least <= int(digits) <= most:
            return int(digits)
        raise typer.BadParameter(f"{digits[:40]!r} is not a whole number from {least:,} to {most:,}")

    return number


class Verb(TyperCommand):
    """A command that takes the global options too, so that their place in the line does not matter."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **more: Any) -> None:
        more["epilog"] = more.get("epilog") or "The options of `qekm --help` are taken here too."
        super().__init__(*arguments, params=[*(params or []), *global_options(hidden=True)], **more)


class Guarded(Verb):
    """A command that reads or makes passwords, shares, keys: nobody looks into it, and it leaves no core."""

    def invoke(self, ctx: Any) -> Any:
        """Harden the process before anything is read."""
        from qekm.hardening import harden

        harden()
        return super().invoke(ctx)


class Noun(typer.Typer):
    """A group of verbs on one noun, or a single verb that stands for itself."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            add_completion=False,
            context_settings=SETTINGS,
            **more,
        )

    def command(
        self, name: str | None = None, *, kind: type[Verb] = Verb, **more: Any
    ) -> Callable[[Any], Any]:
        """Register a verb; the function's docstring is its help."""
        return super().command(name, cls=kind, context_settings=SETTINGS, **more)
