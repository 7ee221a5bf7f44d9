"""qekm-server: run the service, make a key manager, check a trail that nobody serves."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from qekm import __version__
from qekm.commands import configuring, examining, initialising, joining, recovery
from qekm.errors import EXIT_VERDICT, QekmError, exit_code
from qekm.hardening import harden
from qekm.home import Home

if TYPE_CHECKING:
    from qekm.unlocking import Means

PROGRAM = "qekm-server"
TRACEBACK = "QEKM_TRACEBACK"  # environment variable: let what is unforeseen through


class Parser(argparse.ArgumentParser):
    """Says what is wrong in our own form: error, hint."""

    def error(self, message: str) -> NoReturn:
        """Say it and end with 2."""
        _say(message, f"see: {self.prog} --help")
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and end it with the exit code of what happened."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Return the exit code of one run; errors are told on standard error."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    try:
        code: int = options.act(options)
    except QekmError as error:
        _say(error.message, error.advice)
        return exit_code(error)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        _say(f"{error.filename or 'the system'}: {error.strerror or error}")
        return 2
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        hint = f"this is a defect; to see where, run again with {TRACEBACK}=1 in the environment"
        _say(f"unforeseen {type(error).__name__}: {error}", hint)
        return 1
    return code


def run_service(options: argparse.Namespace) -> int:
    """Serve until asked to stop."""
    harden()
    import uvloop

    from qekm.configuration.settings import Settings
    from qekm.logs.process import ProcessLog
    from qekm.running import serve
    from qekm.unlocking import sealer_of

    home = Home.find(options.home)
    home.require()
    try:
        with ProcessLog(home, PROGRAM, "service", options.log_level or "info") as log:
            settings = Settings.load(home.config)
            log.configure(settings, options.log_level)
            sealer = sealer_of(home, settings, _means(options))
            uvloop.run(serve(home, settings, sealer, log))
    except QekmError:
        raise
    except Exception:  # the log has told of it
        return 1
    return 0


def verify_audit(options: argparse.Namespace) -> int:
    """Check the trail of a stopped service and tell the verdict; 5 if it is broken."""
    from qekm.trail import read_place, read_public_key, verify

    home = Home.find(options.directory or options.home)
    home.require()
    seen = [read_place(text) for text in options.seen]
    verdict = verify(home, read_public_key(options.public_key or home.audit_key), seen)
    if verdict.intact:
        print(f"the audit trail is intact: {verdict.checked:,} records, head {verdict.head.hex()}")
        return 0
    print(f"the audit trail is BROKEN at record {verdict.broken_at:,}: {verdict.reason}")
    return EXIT_VERDICT


def check_store(options: argparse.Namespace) -> int:
    """Check everything in the store of a stopped service and tell the verdict; 5 if something is wrong."""
    harden()
    from qekm.checking import check
    from qekm.configuration.settings import Settings
    from qekm.unlocking import sealer_of

    home = Home.find(options.home)
    home.require()
    settings = Settings.load(home.config)
    checked = 0

    def tell(rows: int) -> None:
        nonlocal checked
        checked += rows
        if sys.stderr.isatty():
            print(f"\rchecking the store: {checked:,} rows", end="", file=sys.stderr, flush=True)

    found = check(home, settings, sealer_of(home, settings, _means(options)), tell)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if found.behind:
        print(f"the store may be an old copy: {found.behind}")
    for flaw in found.flaws:
        print(f"DAMAGED: {flaw}")
    if not (found.behind or found.flaws):
        print(f"the store is whole: {found.keys:,} keys, {found.records:,} audit records")
        return 0
    return EXIT_VERDICT


def renew_certificate(options: argparse.Namespace) -> int:
    """Issue a certificate anew while the service is stopped."""
    harden()
    from qekm.clock import now_us
    from qekm.configuration.settings import Settings
    from qekm.renewing import renew
    from qekm.unlocking import sealer_of

    home = Home.find(options.home)
    home.require()
    settings = Settings.load(home.config)
    sealer = sealer_of(home, settings, _means(options))
    issued = renew(home, settings, sealer, options.name, now_us)
    end = datetime.fromtimestamp(issued.expire_time_us // 1_000_000, UTC)
    who = f"{issued.role.name.lower()}/{issued.name}"
    print(f"{who} renewed: {home.certificate(options.name)}, until {end:%Y-%m-%dT%H:%M:%SZ}")
    return 0


def set_password(options: argparse.Namespace) -> int:
    """Set a person's command password while the service is stopped."""
    harden()
    from qekm.accounts import actor_of
    from qekm.clock import now_us
    from qekm.configuration.settings import Settings
    from qekm.model import Role
    from qekm.resetting import reset
    from qekm.unlocking import Means, sealer_of

    home = Home.find(options.home)
    home.require()
    settings = Settings.load(home.config)
    actor = actor_of(Role[options.role.upper()], options.name)
    new = Means(None, options.new_password_file, options.new_password_fd).password()
    sealer = sealer_of(home, settings, _means(options))
    _, certified = reset(home, settings, sealer, actor, new, now_us)
    print(f"the command password of {actor} is set")
    if not certified:
        print(f"no certificate of {actor} is in force: issue one with: qekm certificates issue")
    return 0


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="The service of Q-EKM, and what is done while it does not run.")
    parser.add_argument("--version", action="version", version=__version__)
    acts = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    common = Parser(add_help=False)
    common.add_argument("--home", type=Path, help="directory of the key manager (QEKM_HOME, /var/lib/qekm)")
    means = Parser(add_help=False)
    one = means.add_mutually_exclusive_group()
    one.add_argument("--key-file", type=Path, metavar="FILE", help="key file, if not root.key in the home")
    one.add_argument("--password-file", type=Path, metavar="FILE", help="read the password from this file")
    one.add_argument("--password-fd", type=int, metavar="N", help="read the password from this descriptor")
    serving = acts.add_parser("run", parents=[common, means], help="serve until asked to stop")
    levels = ("debug", "info", "warning", "error")
    serving.add_argument("--log-level", choices=levels, help="instead of log.level in the settings")
    serving.set_defaults(act=run_service)
    initialising.add_to(acts, common)
    joining.add_to(acts, common)
    looking = acts.add_parser("check", parents=[common, means], help="check the store of a stopped service")
    looking.set_defaults(act=check_store)
    renewing = acts.add_parser(
        "renew", parents=[common, means], help="issue a certificate of a stopped service anew"
    )
    renewing.add_argument("name", metavar="NAME", help="of its files in pki, as administrator or gateway")
    renewing.set_defaults(act=renew_certificate)
    setting = acts.add_parser(
        "passwd", parents=[common, means], help="set a forgotten command password of a stopped service"
    )
    setting.add_argument("name", metavar="NAME", help="of the certificate, as administrator")
    roles = ("administrator", "operator", "auditor", "custodian")
    setting.add_argument("--role", choices=roles, default=roles[0], help="of the certificate (administrator)")
    new = setting.add_mutually_exclusive_group(required=True)
    new.add_argument("--new-password-file", type=Path, metavar="FILE", help="the new password, in this file")
    new.add_argument("--new-password-fd", type=int, metavar="N", help="likewise, from this descriptor")
    setting.set_defaults(act=set_password)
    checking = acts.add_parser("audit-verify", parents=[common], help="check the trail of a stopped service")
    checking.add_argument("directory", type=Path, nargs="?", metavar="HOME", help="as --home")
    checking.add_argument("--public-key", type=Path, metavar="FILE", help="PEM, if not pki/audit.pem")
    told = "a record that another server knows, as qekm audit checkpoints tells there"
    checking.add_argument("--seen", action="append", default=[], metavar="SEQUENCE:HASH", help=told)
    checking.set_defaults(act=verify_audit)
    configuring.add_to(acts, common)
    examining.add_to(acts, common)
    recovery.add_to(acts, common)
    return parser


def _means(options: argparse.Namespace) -> Means:
    from qekm.unlocking import Means

    return Means(options.key_file, options.password_file, options.password_fd)


def _say(message: str, hint: str = "") -> None:
    print(f"{PROGRAM}: error: {message}", file=sys.stderr)
    if hint:
        print(f"{PROGRAM}: hint: {hint}", file=sys.stderr)


if __name__ == "__main__":
    main()
