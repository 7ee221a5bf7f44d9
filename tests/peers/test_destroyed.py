"""A server is destroyed with its disk at any moment: the other one reads every key that was ever given.

Two drives work all the time. After each round a new server joins the one that is left, the first now.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.verdict import judge, read_book
from tests.peers.agreeing import unread
from tests.peers.harm import destroy
from tests.peers.namespaces import Network
from tests.peers.pair import caught_up, join, paired, peers, ready
from tests.peers.server import ASKING_S, Server, until
from tests.peers.site import Site, running, work
from tests.peers.sizes import SEED, SIZES
from tests.peers.wires import cut


def lose(server: Server) -> None:
    """Have a machine gone, at once: its processes, and then its disk."""
    for name in ("server", "gateway"):
        server.estate.kill(name)
    destroy(server.home.path)


def replace(site: Site, left: Server, lost: Server, number: int, stack: ExitStack) -> Site:
    """Have a new server on the lost one's host join the one that is left, which becomes the first."""
    for row in peers(left):
        left.ask("peers", "remove", row["name"], "--yes")
    name = f"{lost.host.name}{number}"
    new = stack.enter_context(running(join(left, lost.host, site.folder / name, name)))[0]
    until(lambda: caught_up(left, new), "the new server does not have the same", every_s=ASKING_S)
    until(lambda: ready(left) > 0 and ready(new) > 0, "a server has no keys to give", every_s=ASKING_S)
    return Site((left, new), site.place, site.folder, site.drives, site.anchors)


def test_every_key_ever_given_is_read_from_the_server_that_is_left(network: Network, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    known, begun, waits = set[tuple[str, str]](), time.monotonic(), list[float]()
    with ExitStack() as stack:
        site = stack.enter_context(paired(network, tmp_path))
        for number in range(SIZES.destroyed):
            first, second = site.servers
            with site.at_work(f"{number:03d}") as hands:
                work(hands)
                time.sleep(dice.uniform(0, 0.5))
                lose(first)
                moment = time.monotonic()
                work(hands, 2)
                waits.append(time.monotonic() - moment)
            entries = [each for each in read_book(*site.books) if (each.alias, each.volser) not in known]
            assert unread(site, second, entries) == []
            known |= {(each.alias, each.volser) for each in entries}
            if number + 1 < SIZES.destroyed:
                site = replace(site, second, first, number, stack)
        assert unread(site, second, read_book(*site.books)) == []
        second.estate.close()
        verdict = judge(second.home, site.books)
    print(
        f"seed {SEED}: {SIZES.destroyed} servers destroyed in {time.monotonic() - begun:.0f} s, each drive "
        f"had two keys more after at most {max(waits):.1f} s: {len(known)} keys given, 0 unreadable:",
        verdict,
    )
    assert [verdict.lost, verdict.unreadable, verdict.twice, verdict.free] == [[], [], [], []]


def test_control_keys_that_no_peer_had_before_they_were_given_are_missed(
    network: Network, tmp_path: Path
) -> None:
    """With keystore.protect=none a key is given before anybody else has it: what is lost must be seen."""
    with paired(network, tmp_path, keystore__protect="none") as site:
        first, second = site.servers
        first.ask("groups", "create", "fresh")
        until(lambda: caught_up(first, second), "the servers do not have the same", every_s=ASKING_S)
        with cut(first.host, second.host):
            with site.at_work(order=((first,), (first,))) as hands:
                work(hands)
                key = ("--key-file", str(first.home.root_key))
                first.ask("keys", "generate", "64", "--group", "fresh", *key)
                for drive in site.drives:
                    first.ask("drives", "modify", drive.serial, "--group", "fresh")
                work(hands, 4)
            lose(first)  # before a wire that is healed brings the other one what was on its way
        missed = unread(site, second, read_book(*site.books))
    print(f"control: {sum(hand.exchanges for hand in hands)} exchanges, {len(missed)} keys lost")
    assert missed
