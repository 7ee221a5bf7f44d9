"""Each fault on a wire does what it says, and nothing once it is healed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.peers.namespaces import Host, Network
from tests.peers.talking import SILENCE_S, Echo, Talk, opened
from tests.peers.wires import Fault, can_delay, cut, delay, drop, flapping, reset

# A word that was lost on the wire is sent again by TCP: what was tried comes after the wire is healed.
AGAIN_S = 30.0


def connected(host: Host, echo: Echo) -> Talk:
    """Connect from a host; the control: what is said before the fault arrives."""
    with host.entered():
        talk = opened(echo.address)
    assert talk.answered(), talk.trouble
    return talk


def test_what_is_cut_is_silent_both_ways_and_goes_on_when_healed(network: Network) -> None:
    alpha, beta = network["alpha"], network["beta"]
    with Echo(alpha) as echo, connected(beta, echo) as talk:
        fault = cut(alpha, beta)
        assert not talk.answered(SILENCE_S)
        assert (talk.trouble, talk.sent in echo.heard) == ("TimeoutError", False)
        with beta.entered(), opened(echo.address, SILENCE_S) as new:
            assert new.trouble == "TimeoutError"
        with network["library"].entered(), opened(echo.address) as third:
            assert third.answered(), "only the wire of the two is cut"
        fault.heal()
        assert talk.answered(AGAIN_S), "what was lost is sent again"
        with beta.entered(), opened(echo.address) as new:
            assert new.answered()


@pytest.mark.parametrize(("lost", "heard"), [("words", False), ("answers", True)])
def test_one_way_is_one_way(network: Network, lost: str, heard: bool) -> None:
    alpha, beta = network["alpha"], network["beta"]
    with Echo(alpha) as echo, connected(beta, echo) as talk:
        with drop(beta, alpha) if lost == "words" else drop(alpha, beta):
            assert not talk.answered(SILENCE_S)
            assert (talk.trouble, talk.sent in echo.heard) == ("TimeoutError", heard)
        assert talk.answered(AGAIN_S)


def test_a_reset_ends_what_is_there_and_refuses_what_is_new_at_once(network: Network) -> None:
    alpha, beta = network["alpha"], network["beta"]
    with Echo(alpha) as echo, connected(beta, echo) as talk:
        with reset(alpha, beta):
            assert not talk.answered()
            assert talk.trouble == "ConnectionResetError"
            with beta.entered(), opened(echo.address) as new:
                assert new.trouble == "ConnectionRefusedError"
        with beta.entered(), opened(echo.address) as new:
            assert new.answered()


def test_a_flapping_wire_comes_and_goes_and_is_there_at_the_end(network: Network) -> None:
    alpha, beta = network["alpha"], network["beta"]
    met = set[bool]()
    with Echo(alpha) as echo:
        deadline = time.monotonic() + AGAIN_S
        with beta.entered(), flapping(lambda: reset(alpha, beta), 0.1) as changes:
            while len(met) < 2 or len(changes) < 6:
                assert time.monotonic() < deadline, (met, changes)
                with opened(echo.address, SILENCE_S) as talk:
                    met.add(talk.answered(SILENCE_S))
        with beta.entered(), opened(echo.address) as talk:
            assert talk.answered()


@pytest.mark.parametrize("make", [cut, reset])
def test_healing_twice_is_healing_once(network: Network, make: Callable[[Host, Host], Fault]) -> None:
    alpha, beta = network["alpha"], network["beta"]
    with Echo(alpha) as echo:
        fault = make(alpha, beta)
        fault.heal()
        fault.heal()
        with connected(beta, echo):
            pass


def test_a_delay_delays(network: Network) -> None:
    alpha, beta = network["alpha"], network["beta"]
    if reason := can_delay(alpha):
        pytest.skip(f"no delay here: {reason}")
    with Echo(alpha) as echo, connected(beta, echo) as talk, delay(alpha, 300):
        begun = time.monotonic()
        assert talk.answered(AGAIN_S)
        assert time.monotonic() - begun > 0.29
