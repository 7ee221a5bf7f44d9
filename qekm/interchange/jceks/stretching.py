"""Open or protect many keys at once: processes on every core stretch the password for them.

A process is started afresh (never forked: another thread's locks would come along), and is told the
password only after it can no longer be dumped. Passwords, and what is made of them, go through pipes only.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import cast

from qekm.errors import BadFile, BadPassword
from qekm.hardening import harden
from qekm.interchange.jceks.container import check, serialize
from qekm.interchange.jceks.cover import ITERATIONS, Work, password_bytes, stretch
from qekm.interchange.jceks.entries import Entry, Key, ProtectedKey, TrustedCertificate
from qekm.interchange.jceks.protecting import RandomBytes, new_work, seal, unseal
from qekm.secret import Secret

Tell = Callable[[int], object]  # given how many more keys are done
Refusal = BadFile | BadPassword

_WORTH = 1_000_000  # iterations, 0.8 s: for fewer, processes are not worth starting
_DERIVED = 32  # bytes


def _no_tell(_: int) -> None:
    return None


def unprotect_all(
    entries: Sequence[ProtectedKey], password: Secret, *, tell: Tell = _no_tell, cores: int | None = None
) -> list[Key | Refusal]:
    """Return each key, or why it could not be had, in the order of the entries.

    BadPassword is raised for a password that no key can have. Try one key with unprotect() first: where the
    password is simply another, all the work here is for nothing.
    """
    secret = password_bytes(password)
    works = [_work_of(entry) for entry in entries]
    able = [work for work in works if isinstance(work, Work)]
    if refused := len(works) - len(able):
        tell(refused)
    derived = iter(_stretch_all(able, secret, tell, cores))
    pairs = zip(entries, works, strict=True)
    return [_open(entry, next(derived)) if isinstance(work, Work) else work for entry, work in pairs]


def write(
    entries: Sequence[Key | TrustedCertificate],
    password: Secret,
    *,
    key_password: Secret | None = None,
    iterations: int = ITERATIONS,
    random_bytes: RandomBytes = os.urandom,
    tell: Tell = _no_tell,
    cores: int | None = None,
) -> bytes:
    """Return a keystore that Java opens; key_password: that of every key, if it is not the store's.

    BadArgument for aliases or iterations, BadPassword for passwords that Java would not take, TooMany.
    """
    check([entry.alias for entry in entries], password)
    secret = password_bytes(key_password or password)
    works = [
        new_work(iterations, random_bytes) for entry in entries if not isinstance(entry, TrustedCertificate)
    ]
    pairs = iter(zip(works, _stretch_all(works, secret, tell, cores), strict=True))
    protected: list[Entry] = [
        entry if isinstance(entry, TrustedCertificate) else seal(entry, *next(pairs)) for entry in entries
    ]
    return serialize(protected, password)


def _work_of(entry: ProtectedKey) -> Work | BadFile:
    try:
        return entry.work()
    except BadFile as error:
        return error


def _open(entry: ProtectedKey, derived: bytes) -> Key | Refusal:
    try:
        return unseal(entry, derived)
    except (BadFile, BadPassword) as error:
        return error


def _stretch_all(works: Sequence[Work], password: bytes, tell: Tell, cores: int | None) -> list[bytes]:
    done: dict[int, bytes] = {}
    cores = min(len(works), cores or len(os.sched_getaffinity(0)))
    if cores > 1 and sum(work.iterations for work in works) > _WORTH:
        with _crew(cores) as pipes:
            _share_out(works, password, pipes, done, tell)
    # What is left: all of a cheap store, or what processes that were killed did not do.
    for number, work in enumerate(works):
        if number not in done:
            done[number] = stretch(password, work)
            tell(1)
    return [done[number] for number in range(len(works))]


def _share_out(
    works: Sequence[Work], password: bytes, pipes: Sequence[Connection], done: dict[int, bytes], tell: Tell
) -> None:
    """Let the processes do the work, as long as there are any, and put what they send back into `done`."""
    waiting = iter(enumerate(works))
    busy: dict[Connection, int] = {}

    def give(pipe: Connection) -> None:
        for number, work in waiting:
            with suppress(OSError):  # it was killed; its pipe is not used again
                pipe.send((password, work))
                busy[pipe] = number
            return

    for pipe in pipes:
        give(pipe)
    while busy:
        for ready in wait(list(busy)):
            pipe = cast(Connection, ready)
            number = busy.pop(pipe)
            with suppress(EOFError, OSError):
                done[number] = pipe.recv_bytes(_DERIVED)
            if number in done:
                tell(1)
                give(pipe)


@contextmanager
def _crew(cores: int) -> Iterator[list[Connection]]:
    """Start this many processes, or as many as the system lets; none is left when the context ends."""
    context = get_context("spawn")
    processes, pipes = [], []
    try:
        with suppress(OSError):
            for _ in range(cores):
                ours, theirs = context.Pipe()
                pipes.append(ours)
                process = context.Process(target=_work, args=(theirs,), daemon=True)
                process.start()
                processes.append(process)
                theirs.close()
        yield pipes[: len(processes)]
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()


def _work(pipe: Connection) -> None:
    """Stretch what comes through the pipe until it ends, which it does whatever becomes of its other end."""
    harden()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this
    with suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(stretch(*pipe.recv()))
