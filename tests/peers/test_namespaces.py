"""Hosts are hosts: they reach each other and nobody else, and nothing of them is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.peers.namespaces import PREFIX, Network, run, sweep
from tests.peers.talking import SILENCE_S, Echo, opened


def interfaces() -> set[str]:
    """Return the interfaces of the network that this thread is in."""
    return {line.split(":")[1].strip() for line in run("ip", "-o", "link").splitlines()}


def left_of(pid: int) -> list[str]:
    """Return the names of a process's hosts that are there."""
    return [path.name for path in Path("/run/netns").glob(f"{PREFIX}-{pid}-*")]


def test_hosts_reach_each_other_and_the_machine_does_not(network: Network) -> None:
    alpha, beta = network["alpha"], network["beta"]
    with Echo(alpha) as echo:
        with beta.entered(), opened(echo.address) as talk:
            assert talk.answered()
        with alpha.entered(), opened(echo.address) as talk:
            assert talk.answered()
        with opened(echo.address, SILENCE_S) as talk:
            assert not talk.answered(SILENCE_S), "the machine itself reaches a host"


def test_a_thread_that_leaves_a_host_is_where_it_was(network: Network) -> None:
    before = interfaces()
    with network["alpha"].entered():
        pass
    assert interfaces() == before
    assert network["alpha"].run("ip", "-o", "link").count("eth0")


def test_nothing_is_left_of_a_network_and_what_runs_there_ends() -> None:
    before, others = interfaces(), left_of(os.getpid())
    with Network("one") as network:
        child = subprocess.Popen([*network["one"].inside, "sleep", "600"])
        while "sleep" not in Path(f"/proc/{child.pid}/comm").read_text():
            time.sleep(0.01)
        assert len(left_of(os.getpid())) == len(others) + 2
    assert child.wait(10) == -9
    assert left_of(os.getpid()) == others
    assert interfaces() == before


def test_what_a_killed_test_left_goes_when_the_next_begins() -> None:
    begin = "from tests.peers.namespaces import Network; Network('x').__enter__()"
    crash = f"{begin}; import os; os.kill(os.getpid(), 9)"
    dead = subprocess.Popen([sys.executable, "-c", crash])
    dead.wait(60)
    assert left_of(dead.pid)
    sweep()
    assert left_of(dead.pid) == []
