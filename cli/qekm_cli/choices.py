"""What `qekm init` has to be told: by options, else by who sits at the terminal; nothing risky is assumed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperOption

from qekm_cli import inheriting
from qekm_cli.commands import Guarded, kept, whole_number
from qekm_cli.connection import Invocation
from qekm_cli.inheriting import Inheritance, inherit
from qekm_cli.passwords import COMMAND_OPTIONS, read_password
from qekm_cli.shares import SPLIT, Split, check_place, parse_split

_PLACES = ("auto", "peer", "backup", "peer+backup", "none")
_WITHOUT_BACKUP = ("peer", "none")  # where no key waits for one
_TOGETHER = (
    ("key_file", "no_key_file"),
    ("password_file", "no_password"),
    ("password_fd", "no_password"),
    ("no_key_file", "no_password"),
    ("command_password_file", "no_command_password"),
    ("command_password_fd", "no_command_password"),
    ("shares", "no_shares"),
    ("shares_dir", "no_shares"),
)


def _options() -> list[TyperOption]:
    number = whole_number(0, 2**20)
    shares_dir = "Write the shares here, a file each, instead of showing them once."
    protect = "Where else a key is before use; auto: at a peer, else in a backup; none: nowhere, DEGRADED."
    no_command = "No command password: the administrator's certificate is enough; DEGRADED."
    return [
        kept("--key-file", "Key file, if not root.key in the home.", type=str, metavar="FILE"),
        kept("--no-key-file", "No key file: every start asks for the password.", is_flag=True),
        kept("--password-file", "Read the password from this file.", type=str, metavar="FILE"),
        kept("--password-fd", "Read the password from this open descriptor.", type=number, metavar="N"),
        kept("--no-password", "No password: people open the keystore with the key file.", is_flag=True),
        kept("--no-command-password", no_command, is_flag=True),
        kept("--shares", "Recovery shares: M of N open; 3/5 if not given.", type=parse_split, metavar="M/N"),
        kept("--no-shares", "No recovery shares.", is_flag=True),
        kept("--shares-dir", shares_dir, type=str, metavar="DIR"),
        kept("--backup-to", "Directory for backups, on another file system.", type=str, metavar="DIR"),
        kept("--same-disk", "Backups on the same file system will do; DEGRADED.", is_flag=True),
        kept("--protect", protect, type=_choice(*_PLACES), metavar="|".join(_PLACES)),
        kept(
            "--two-person", "off: one person may destroy keys.", type=_choice("on", "off"), metavar="on|off"
        ),
        *inheriting.options(),
    ]


class Making(Guarded):
    """The command that makes a key manager."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **more: Any) -> None:
        super().__init__(*arguments, params=[*(params or []), *_options()], **more)


@dataclass(frozen=True, slots=True)
class Choices:
    """What was chosen. A password is None if there is to be none, and so are the shares."""

    key_file: Path | None  # None: root.key in the home
    no_key_file: bool
    password: str | None = field(repr=False)
    command_password: str | None = field(repr=False)  # the administrator's
    split: Split | None
    shares_dir: Path | None
    properties: Mapping[str, str]
    old: Inheritance | None = None  # an installation of the original that is taken over

    def words(self) -> Iterator[str]:
        """Yield the options of qekm-server init that say this, but for descriptors."""
        if self.no_key_file:
            yield "--no-key-file"
        if self.key_file is not None:
            yield from ("--key-file", str(self.key_file))
        for name, value in self.properties.items():
            yield from ("--property", f"{name}={value}")
        if self.old is not None:
            yield from self.old.words

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Yield the options of qekm-server init that name a descriptor for a password, and the password."""
        if self.password is not None:
            yield "--password-fd", self.password
        if self.command_password is not None:
            yield "--command-password-fd", self.command_password
        if self.old is not None:
            yield from self.old.secrets()


def choose(invocation: Invocation, properties: Sequence[str], home: str) -> Choices:
    """Return what was chosen, and ask for what was not; raises BadParameter that names what is missing.

    properties: NAME=VALUE. Where a document is wanted, shares are not shown on a terminal. As well raises
    what `inherit` does.
    """
    given, shown = _given(invocation), not invocation.json
    for one, other in _TOGETHER:
        if one in given and other in given:
            raise typer.BadParameter(f"{_option(one)} and {_option(other)} contradict each other")
    chosen = dict(text.split("=", 1) for text in properties) | _as_properties(given)
    split = None if "no_shares" in given else given.get("shares", SPLIT)
    shares_dir = Path(given["shares_dir"]) if "shares_dir" in given else None
    _check_complete(given, chosen, wants_target(chosen), shown=shown)
    if split is not None:
        check_place(shares_dir, split.count, shown=shown)
    old = inherit(given, home, properties)  # first: whether it can be read decides about all the rest
    if wants_target(chosen):
        chosen["backup.target"] = _ask_target()
    password = _password(given, "password")
    command = _password(
        given, "command_password", title="Command password of administrator", options=COMMAND_OPTIONS
    )
    key_file = Path(given["key_file"]).absolute() if "key_file" in given else None
    return Choices(key_file, "no_key_file" in given, password, command, split, shares_dir, chosen, old)


def _given(invocation: Invocation) -> dict[str, Any]:
    """Return the options that were given, by name: our own, and the two that every command takes."""
    names = ("command_password_file", "command_password_fd")
    told = {name: getattr(invocation, name) for name in names}
    return invocation.given | {name: value for name, value in told.items() if value is not None}


def _password(given: Mapping[str, Any], name: str, **more: Any) -> str | None:
    """Return a new password of one of the two kinds, None if there is to be none."""
    if f"no_{name}" in given:
        return None
    file = Path(given[f"{name}_file"]) if f"{name}_file" in given else None
    return read_password(file, given.get(f"{name}_fd"), confirm=True, **more)


def wants_target(properties: Mapping[str, str]) -> bool:
    """Tell whether keys shall wait for backups, and nobody said where those go."""
    waits = properties.get("keystore.protect", "auto").lower() not in _WITHOUT_BACKUP
    return waits and not properties.get("backup.target")


def _as_properties(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that options of their own stand for."""
    told = {}
    if "backup_to" in given:  # absolute: the service takes it from its home
        told["backup.target"] = str(Path(given["backup_to"]).absolute())
    if "same_disk" in given:
        told["backup.sameDisk"] = "true"
    if "protect" in given:
        told["keystore.protect"] = given["protect"]
    if "two_person" in given:
        told["twoPerson"] = given["two_person"]
    return told


def _check_complete(
    given: Mapping[str, Any], properties: Mapping[str, str], wants_place: bool, *, shown: bool
) -> None:
    """Raise BadParameter that names everything that was not given and cannot be asked for."""
    missing = []
    if not (sys.stdin and sys.stdin.isatty()):
        if not {"password_file", "password_fd", "no_password"} & set(given):
            missing.append("--password-file, --password-fd or --no-password")
        if not {"command_password_file", "command_password_fd", "no_command_password"} & set(given):
            missing.append(f"{', '.join(COMMAND_OPTIONS)} or --no-command-password")
        if wants_place:
            missing.append("--backup-to or --protect none")
        missing += inheriting.missing(given)
    if not {"shares_dir", "no_shares"} & set(given) and not (shown and sys.stdout.isatty()):
        missing.append("--shares-dir or --no-shares")
    if missing:
        raise typer.BadParameter("there is no terminal to ask on; give " + ", and ".join(missing))


def _ask_target() -> str:
    answer = input("Directory for backups, on another file system: ").strip()
    if not answer:
        what = "new keys wait for a backup: name a directory with --backup-to, or say --protect none"
        raise typer.BadParameter(what)
    return str(Path(answer).expanduser().absolute())


def _choice(*words: str) -> Any:
    def chosen(text: Any) -> str:
        if str(text).lower() in words:
            return str(text).lower()
        raise typer.BadParameter(f"{str(text)[:20]!r} is not one of {', '.join(words)}")

    return chosen


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
