"""What the programs in /usr/bin do first: root acts as the owner of the key manager, and systemd starts it.

What root made in the home could not be read by the service, and what the service's user can write, root
should not run on. A home that is not there, or is root's own, changes nothing.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

DEFAULT = "/var/lib/qekm"
MOST = 1_000_000  # bytes of settings
UNITS = ("qekm-server", "qekm-gateway")
HOMELESS = ("qekm-simulator",)  # plays drives wherever its user likes


def home_of(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the home that a command line names, else the environment, else the package's."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--home":
            return following
        if word.startswith("--home="):
            return word.removeprefix("--home=")
    return environ.get("QEKM_HOME") or DEFAULT


def act_as_owner(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Become the owner of the home, if this is root and the owner is somebody else."""
    if os.geteuid() != 0:
        return
    try:
        status = Path(home_of(words, environ)).stat()
        owner = pwd.getpwuid(status.st_uid)
    except (OSError, KeyError):
        return
    if owner.pw_uid == 0:
        return
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setresgid(owner.pw_gid, owner.pw_gid, owner.pw_gid)
    os.setresuid(owner.pw_uid, owner.pw_uid, owner.pw_uid)
    os.environ["HOME"], os.environ["USER"] = owner.pw_dir, owner.pw_name


def is_for_systemd(program: str, words: Sequence[str]) -> bool:
    """Tell whether a command line starts the package's own key manager, for which there are units.

    Not one that a password opens: `qekm server start` asks for it, and systemd would not.
    """
    wanted = (program, *words) in {("qekm", "server", "start"), ("startQEKMServer",)}
    if (
        not wanted
        or os.geteuid() != 0
        or "QEKM_HOME" in os.environ
        or not Path("/run/systemd/system").is_dir()
    ):
        return False
    try:
        settings = read_settings(Path(DEFAULT, "KeyManagerConfig.properties"))
    except OSError:
        return False
    return re.search(r"^\s*keystore\.slot\s*[=:]\s*password\s*$", settings, flags=re.M) is None


def read_settings(path: Path) -> str:
    """Return a file that root reads where others may write: no link, no pipe, 1 MB at most; OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no file", str(path))
        return file.read(MOST).decode("latin-1")


def run(module: str, function: str) -> None:
    """Run a program of the package as the owner of its home, and end with its exit code."""
    program, words = Path(sys.argv[0]).name, sys.argv[1:]
    if is_for_systemd(program, words):
        print("qekm: systemctl enable --now", *UNITS, file=sys.stderr, flush=True)
        os.execvp("systemctl", ["systemctl", "--quiet", "enable", "--now", *UNITS])  # noqa: S606, S607
    if program not in HOMELESS:
        act_as_owner(words)
    from importlib import import_module

    sys.exit(getattr(import_module(module), function)())
