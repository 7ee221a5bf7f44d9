"""Each slot opens the keystore of the real service: at a start, or for a person, alone."""

from __future__ import annotations

import math
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qekm.errors import BadPassword, BadShares, KeystoreLocked, LastSlot, TooMany
from qekm.tries import FREE
from qekm.v1 import keystore_pb2, slots_pb2
from qekm.v1.slots_pb2 import Proof, Shares
from tests.fakes.token import token_in
from tests.faults.site import at_work, wait_for_exchanges, working
from tests.system.processes import Estate, made, run_server
from tests.waiting import PATIENCE_S

GET = keystore_pb2.GetKeystoreRequest()
GUESSED_S = 4.0


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    """Give a key manager whose settings name a token, with a PIN file; nothing runs yet."""
    token = token_in(tmp_path / "token", monkeypatch)
    with made(tmp_path / "home", keys=4, keystore__pkcs11__module=token.place.module) as estate:
        pin = estate.home.path / "token.pin"
        pin.write_text(token.pin)
        pin.chmod(0o600)
        yield estate


def add(client: Any, estate: Estate, **means: Any) -> Any:
    """Add a slot, proved with the key file."""
    proof = Proof(key_file=estate.home.root_key.read_bytes())
    return client.slots.CreateSlot(slots_pb2.CreateSlotRequest(proof=proof, **means))


def unlock(client: Any, proof: Proof) -> str:
    """Open the keystore and return the slot's name."""
    return str(client.keystore.UnlockKeystore(keystore_pb2.UnlockKeystoreRequest(proof=proof)).slot)


def test_the_service_starts_with_each_slot_alone_and_shares_open_it_for_a_person(
    estate: Estate, tmp_path: Path
) -> None:
    password = secrets.token_hex(8)
    (tmp_path / "password").write_text(password + "\n")
    with estate.start(gateway=False).client() as client:
        add(client, estate, password=password.encode())
        add(client, estate, pin=(estate.home.path / "token.pin").read_bytes())
        mnemonics = add(client, estate, shares=slots_pb2.NewShares()).mnemonics
    estate.stop()
    starts: dict[str, tuple[str, ...]] = {
        "key-file": (),
        "password": ("--password-file", str(tmp_path / "password")),
        "pkcs11": (),
    }
    for kind, arguments in starts.items():
        estate.start(gateway=False, arguments=arguments, QEKM_PROPERTY_keystore_slot=kind)
        with estate.client() as client:
            assert client.keystore.GetKeystore(GET).slot == kind
            with pytest.raises(KeystoreLocked):
                list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=1)))
            with pytest.raises(BadShares):
                unlock(client, Proof(shares=Shares(mnemonics=mnemonics[:2])))
            assert unlock(client, Proof(shares=Shares(mnemonics=mnemonics[2:]))) == "shares"
            list(client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=1)))
        assert estate.server is not None
        command = Path(f"/proc/{estate.server.pid}/cmdline").read_bytes()
        environ = Path(f"/proc/{estate.server.pid}/environ").read_bytes()
        assert password.encode() not in command + environ
        assert password not in estate.server.said()
        estate.stop()


def test_without_its_first_slot_the_service_starts_with_another_and_never_without_any(
    estate: Estate, tmp_path: Path
) -> None:
    password = secrets.token_hex(8)
    (tmp_path / "password").write_text(password + "\n")
    proof = Proof(password=password.encode())
    with estate.start(gateway=False).client() as client:
        add(client, estate, password=password.encode())
        client.slots.DeleteSlot(slots_pb2.DeleteSlotRequest(name="key-file", proof=proof))
        with pytest.raises(LastSlot):
            client.slots.DeleteSlot(slots_pb2.DeleteSlotRequest(name="password", proof=proof))
    estate.stop()
    done = run_server("run", "--home", estate.home.path)
    assert done.returncode == 2
    assert "no slot of kind key-file; there is password (keystore.slot)" in done.stderr
    words = ("--password-file", str(tmp_path / "password"))
    with estate.start(
        gateway=False, arguments=words, QEKM_PROPERTY_keystore_slot="password"
    ).client() as client:
        assert [slot.name for slot in client.slots.ListSlots(slots_pb2.ListSlotsRequest()).slots] == [
            "password"
        ]
        assert client.keystore.GetKeystore(GET).counts[0].count == 4


def test_drives_are_served_while_somebody_guesses_passwords(tmp_path: Path) -> None:
    with working(tmp_path, keys=256) as site:
        with site.estate.client() as client:
            add(client, site.estate, password=secrets.token_hex(8).encode())
        with at_work(site) as workers:
            wait_for_exchanges(workers, 2)
            calm = [worker.exchanges for worker in workers]
            time.sleep(GUESSED_S / 2)
            rate = sum(w.exchanges - c for w, c in zip(workers, calm, strict=True)) / (GUESSED_S / 2)
            before, begun = [worker.exchanges for worker in workers], time.monotonic()
            tried, refused = guess(site.estate, GUESSED_S)
            took_s = time.monotonic() - begun
            made_ = [w.exchanges - b for w, b in zip(workers, before, strict=True)]
        print(
            f"\n{tried} passwords were tried and {refused} refused untried in {took_s:.0f} s; meanwhile "
            f"{sum(made_) / took_s:.1f} keys a second, before {rate:.1f}"
        )
        assert [worker.trouble for worker in workers] == [[], []]
    assert all(made_)
    assert FREE <= tried <= FREE + 1 + math.log2(1 + took_s)  # after those it is 1 s, then 2, then 4
    assert refused > 0


def guess(estate: Estate, seconds: float) -> tuple[int, int]:
    """Guess in four threads; return how many passwords were tried and how many calls were refused untried.

    So long at least, and until one is refused: a machine that is busy takes seconds for the first tries.
    """
    counts = {BadPassword: 0, TooMany: 0}
    until = time.monotonic() + seconds

    def work() -> None:
        with estate.client() as client:
            while (now := time.monotonic()) < until or (not counts[TooMany] and now < until + PATIENCE_S):
                proof = Proof(password=os.urandom(8).hex().encode())
                try:
                    client.slots.TestSlot(slots_pb2.TestSlotRequest(proof=proof))
                except (BadPassword, TooMany) as error:
                    counts[type(error)] += 1
                time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts[BadPassword], counts[TooMany]
