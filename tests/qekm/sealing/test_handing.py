"""A key ring goes through a pipe, whole, and through nothing else."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.errors import BadConfiguration, StoreDamaged
from qekm.model import Key, KeyState, Vault
from qekm.sealing import KeyRing
from qekm.sealing.handing import hand_over, hand_secret, take_over, take_secret
from qekm.secret import Secret

ESTATE = bytes(range(16))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def passed(ring: KeyRing, pipe: tuple[int, int]) -> KeyRing:
    """Hand a ring over and take it."""
    hand_over(ring, pipe[1])
    os.close(pipe[1])
    return take_over(pipe[0])


def test_a_ring_that_went_through_a_pipe_opens_what_the_first_one_sealed(pipe: tuple[int, int]) -> None:
    root = Secret(os.urandom(32))
    ring = KeyRing(root, ESTATE, versions=(3, 4))
    own = passed(ring, pipe)
    material = Secret(os.urandom(32))
    sealed = ring.seal_key(material, bytes(16), "ALIAS001", 1, 1)
    key = Key(
        bytes(16), "ALIAS001", bytes(12), 1, 1, 1, sealed, ring.check_value(material), "g", KeyState.READY
    )
    assert own.open_key(key).reveal() == material.reveal()
    assert own.open_vault(Vault("v", ring.seal_vault("v", b"x"), b"")).reveal() == b"x"
    wrapped = ring.wrap_backup(material, bytes(32))
    unwrapped = own.unwrap_backup(wrapped, bytes(32))
    assert unwrapped is not None
    assert unwrapped.reveal() == material.reveal()
    assert own.seals.row("t", (1, "a")) == ring.seals.row("t", (1, "a"))
    assert own.seals.element(b"x") == ring.seals.element(b"x")
    assert own.seals.root(1) == ring.seals.root(1)
    assert own.version == 4
    assert own.rotate(root) == 5
    with pytest.raises(StoreDamaged):
        own.rotate(Secret(os.urandom(32)))


def test_neither_end_takes_what_is_no_pipe(tmp_path: Path) -> None:
    ring = KeyRing(Secret(os.urandom(32)), ESTATE)
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    one, other = socket.socketpair()
    null = os.open(os.devnull, os.O_RDWR)
    with one, other:
        for end in (file, one.fileno(), null):
            with pytest.raises(BadConfiguration, match="pipe only"):
                hand_over(ring, end)
            with pytest.raises(BadConfiguration, match="pipe only"):
                take_over(end)
    os.close(file)
    os.close(null)
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("content", [b"", b"\x10", bytes(17), b"\x10" + bytes(208), b"\x10" + bytes(243)])
def test_what_is_no_ring_is_refused(pipe: tuple[int, int], content: bytes) -> None:
    os.write(pipe[1], content)
    os.close(pipe[1])
    with pytest.raises(BadConfiguration, match="no key ring"):
        take_over(pipe[0])


def test_a_secret_longer_than_a_pipe_holds_comes_whole(pipe: tuple[int, int]) -> None:
    secret = os.urandom(200_000)
    if (child := os.fork()) == 0:
        hand_secret(Secret(secret), pipe[1])
        os._exit(0)
    os.close(pipe[1])
    assert take_secret(pipe[0]).reveal() == secret
    os.waitpid(child, 0)


def test_a_ring_is_still_not_pickled_and_does_not_show_its_keys() -> None:
    ring = KeyRing(Secret(os.urandom(32)), ESTATE)
    with pytest.raises(TypeError):
        pickle.dumps(ring)
    assert repr(ring.serialize()) == "Secret(…)"
