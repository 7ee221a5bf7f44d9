"""SlotsService over the wire, and what an opened slot lets one do."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qekm.api import proofs
from qekm.api.proofs import Proofs
from qekm.errors import (
    BadArgument,
    BadFile,
    BadPassword,
    BadShares,
    KeystoreLocked,
    LastSlot,
    QekmError,
    SlotExists,
    TooMany,
    UnknownSlot,
)
from qekm.model import Outcome
from qekm.tries import FREE, Tries
from qekm.v1 import keystore_pb2
from qekm.v1 import slots_pb2 as pb
from tests.fakes.token import token_in
from tests.qekm.api.running import Running, collect, running
from tests.waiting import until


def key_file(run: Running) -> pb.Proof:
    """Return the proof that opens the slot init made."""
    return pb.Proof(key_file=run.home.root_key.read_bytes())


def password(text: str) -> pb.Proof:
    """Return a password as a proof."""
    return pb.Proof(password=text.encode())


def shares(mnemonics: Any) -> pb.Proof:
    """Return shares as a proof."""
    return pb.Proof(shares=pb.Shares(mnemonics=mnemonics))


async def add(run: Running, **means: Any) -> pb.CreateSlotResponse:
    """Add a slot, proved with the key file."""
    request = pb.CreateSlotRequest(proof=key_file(run), **means)
    answer = await run.client.slots.CreateSlot(request)
    assert isinstance(answer, pb.CreateSlotResponse)
    return answer


async def opens(run: Running, proof: pb.Proof, name: str = "") -> str:
    """Return the name of the slot that a proof opens."""
    return (await run.client.slots.TestSlot(pb.TestSlotRequest(name=name, proof=proof))).slot.name


async def names(run: Running) -> list[str]:
    """Return the names of all slots."""
    return [slot.name for slot in (await run.client.slots.ListSlots(pb.ListSlotsRequest())).slots]


async def told(run: Running, event: str) -> list[tuple[str, Outcome, str]]:
    """Return actor, outcome and message of the records of an event."""
    found = [record for record in await run.records() if record.event == event]
    return [(record.actor, record.outcome, record.message) for record in found]


async def test_each_slot_alone_opens_the_keystore_and_fewer_shares_do_not(run: Running) -> None:
    secret = secrets.token_hex(8)
    await add(run, password=secret.encode())
    other = os.urandom(32)
    await add(run, name="second-file", key_file=other)
    mnemonics = list((await add(run, shares=pb.NewShares())).mnemonics)
    assert len(mnemonics) == 5
    assert await names(run) == ["key-file", "password", "second-file", "shares"]
    for proof, name in (
        (key_file(run), "key-file"),
        (password(secret), "password"),
        (pb.Proof(key_file=other), "second-file"),
        (shares(mnemonics[1:4]), "shares"),
        (shares(mnemonics), "shares"),
    ):
        assert await opens(run, proof) == name
        assert await opens(run, proof, name) == name
    with pytest.raises(BadShares, match="3 shares are needed and 2 given"):
        await opens(run, shares(mnemonics[:2]))


async def test_shares_may_be_fewer_or_more(run: Running) -> None:
    mnemonics = (await add(run, shares=pb.NewShares(threshold=2, count=3))).mnemonics
    assert len(mnemonics) == 3
    assert await opens(run, shares(mnemonics[::2])) == "shares"
    with pytest.raises(BadArgument, match="at least 2"):
        await add(run, name="shares-2", shares=pb.NewShares(threshold=1, count=3))


async def test_a_token_opens_a_slot_and_its_key_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_in(tmp_path / "token", monkeypatch)
    module: Any = {"keystore__pkcs11__module": token.place.module}
    async with running(tmp_path / "home", keys=1, **module) as run:
        pin = token.pin.encode()
        await add(run, pin=pin)
        await add(run, name="again", pin=pin)  # with the key that is there
        assert await opens(run, pb.Proof(pin=pin)) == "again"
        assert await opens(run, pb.Proof(pin=pin), "pkcs11") == "pkcs11"


async def test_a_pin_without_a_token_in_the_settings_is_refused(run: Running) -> None:
    with pytest.raises(QekmError, match="no PKCS#11 module is named"):
        await add(run, pin=b"1234")


@pytest.mark.parametrize(
    ("means", "error"),
    [
        ({}, BadArgument),
        ({"password": b"short"}, BadPassword),
        ({"password": b"changeME"}, BadPassword),
        ({"password": b"\xff" * 9}, BadPassword),
        ({"name": "new", "key_file": b"short"}, BadFile),
        ({"name": "No Name", "key_file": bytes(32)}, BadArgument),
        ({"name": "key-file", "password": b"a good password"}, SlotExists),
        ({"key_file": bytes(32)}, SlotExists),
        ({"shares": pb.NewShares(threshold=3, count=17)}, BadArgument),
    ],
)
async def test_what_cannot_be_a_slot_changes_nothing(
    run: Running, means: Any, error: type[QekmError]
) -> None:
    with pytest.raises(error):
        await add(run, **means)
    assert await names(run) == ["key-file"]
    assert [slot.name for slot in run.store.load().slots] == ["key-file"]


@pytest.mark.parametrize(
    ("proof", "error"),
    [
        (pb.Proof(), BadArgument),
        (pb.Proof(key_file=b"short"), BadFile),
        (pb.Proof(key_file=bytes(32)), BadPassword),
        (pb.Proof(password=b"x"), UnknownSlot),
        (shares(["not a share"] * 3), BadShares),
        (shares(["academic"] * 17), BadArgument),
        (shares([]), BadShares),
    ],
)
async def test_what_opens_nothing_does_nothing_and_is_recorded_as_a_failure(
    run: Running, proof: pb.Proof, error: type[QekmError]
) -> None:
    calls = {
        "CreateSlot": pb.CreateSlotRequest(proof=proof, name="new", key_file=os.urandom(32)),
        "TestSlot": pb.TestSlotRequest(proof=proof),
        "UpdatePassword": pb.UpdatePasswordRequest(proof=proof, password=b"a good password"),
    }
    for method, request in calls.items():
        run.clock.ahead_us += 61_000_000  # many of one caller and kind are one record a minute
        with pytest.raises(error):
            await getattr(run.client.slots, method)(request)
        ((actor, outcome, message),) = await told(run, f"rpc.{method}")
        assert (actor, outcome) == ("administrator/administrator", Outcome.FAILURE)
        assert message
    with pytest.raises(error):
        await run.client.keystore.UnlockKeystore(keystore_pb2.UnlockKeystoreRequest(proof=proof))
    with pytest.raises(KeystoreLocked):
        await collect(run.client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=1)))


async def test_slots_are_durable_and_every_change_is_in_the_trail_by_name(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=1) as run:
        await add(run, name="other", key_file=os.urandom(32))
        await run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="other", proof=key_file(run)))
        await add(run, shares=pb.NewShares())
        who = "administrator/administrator"
        assert await told(run, "rpc.CreateSlot") == [
            (who, Outcome.SUCCESS, "slot other of kind key-file, opened with slot key-file"),
            (who, Outcome.SUCCESS, "slot shares of kind shares, opened with slot key-file"),
        ]
        what = "slot other, opened with slot key-file"
        assert await told(run, "rpc.DeleteSlot") == [(who, Outcome.SUCCESS, what)]
    async with running(tmp_path / "home") as run:
        assert await names(run) == ["key-file", "shares"]


async def test_a_slot_is_removed_with_another_one_and_the_last_one_stays(run: Running) -> None:
    other = os.urandom(32)
    with pytest.raises(LastSlot):
        await run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="key-file", proof=key_file(run)))
    await add(run, name="other", key_file=other)
    with pytest.raises(BadPassword):
        await run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="key-file", proof=key_file(run)))
    with pytest.raises(UnknownSlot):
        await run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="lion", proof=key_file(run)))
    proof = pb.Proof(key_file=other)
    await run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="key-file", proof=proof))
    with pytest.raises(LastSlot):
        await run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="other", proof=proof))
    assert await names(run) == ["other"]


async def test_two_people_who_remove_each_others_slot_at_once_leave_one(run: Running) -> None:
    other = os.urandom(32)
    await add(run, name="other", key_file=other)
    calls = [
        run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="key-file", proof=pb.Proof(key_file=other))),
        run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="other", proof=key_file(run))),
    ]
    done = await asyncio.gather(*calls, return_exceptions=True)
    (failed,) = [each for each in done if isinstance(each, Exception)]
    assert isinstance(failed, LastSlot | UnknownSlot)  # what it was opened with may be gone by then
    assert len(await names(run)) == 1


async def test_a_forgotten_password_is_set_anew_with_shares_and_the_old_one_opens_nothing(
    run: Running,
) -> None:
    old, new, newest = (secrets.token_hex(8) for _ in range(3))
    await add(run, password=old.encode())
    mnemonics = (await add(run, shares=pb.NewShares())).mnemonics

    async def passwd(proof: pb.Proof, text: str) -> str:
        request = pb.UpdatePasswordRequest(proof=proof, password=text.encode())
        return str((await run.client.slots.UpdatePassword(request)).slot.name)

    assert await passwd(shares(mnemonics[:3]), new) == "password"
    assert await passwd(password(new), newest) == "password"
    assert await opens(run, password(newest)) == "password"
    for text in (old, new):
        with pytest.raises(BadPassword):
            await opens(run, password(text))
    with pytest.raises(BadPassword):
        await passwd(password(newest), "short")
    assert await opens(run, password(newest)) == "password"


async def test_an_opened_keystore_lets_its_subject_make_keys_until_it_is_locked(run: Running) -> None:
    keystore, request = run.client.keystore, keystore_pb2.GenerateKeysRequest(count=1)
    with pytest.raises(KeystoreLocked) as caught:
        await collect(keystore.GenerateKeys(request))
    assert caught.value.details["act"] == "GenerateKeys"
    unlock = keystore_pb2.UnlockKeystoreRequest(proof=key_file(run))
    answer = await keystore.UnlockKeystore(unlock)
    assert answer.slot == "key-file"
    assert 590 < answer.expire_time.ToMicroseconds() / 1e6 - time.time() < 610
    assert (await collect(keystore.GenerateKeys(request)))[-1].done == 1
    await keystore.LockKeystore(keystore_pb2.LockKeystoreRequest())
    with pytest.raises(KeystoreLocked):
        await collect(keystore.GenerateKeys(request))
    who = "administrator/administrator"
    assert await told(run, "rpc.UnlockKeystore") == [(who, Outcome.SUCCESS, "slot key-file")]
    assert await told(run, "rpc.LockKeystore") == [(who, Outcome.SUCCESS, "")]


async def test_removing_a_slot_locks_the_keystore_for_everybody(run: Running) -> None:
    await add(run, name="other", key_file=os.urandom(32))
    unlock = keystore_pb2.UnlockKeystoreRequest(proof=key_file(run))
    await run.client.keystore.UnlockKeystore(unlock)
    await run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="other", proof=key_file(run)))
    with pytest.raises(KeystoreLocked):
        request = keystore_pb2.GenerateKeysRequest(count=1)
        await collect(run.client.keystore.GenerateKeys(request))


async def test_wrong_tries_at_whatever_slot_and_call_end_in_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(proofs, "Tries", lambda _: Tries(lambda: now_s[0]))
    async with running(tmp_path / "home") as run:
        await wrong_tries_end_in_a_wait(run, now_s)


async def wrong_tries_end_in_a_wait(run: Running, now_s: list[float]) -> None:
    await add(run, name="other", key_file=os.urandom(32))
    wrong = pb.Proof(key_file=os.urandom(32))
    calls: list[Callable[[], Any]] = [
        lambda: opens(run, wrong, "key-file"),
        lambda: opens(run, wrong, "other"),
        lambda: run.client.keystore.UnlockKeystore(keystore_pb2.UnlockKeystoreRequest(proof=wrong)),
        lambda: run.client.slots.DeleteSlot(pb.DeleteSlotRequest(name="other", proof=wrong)),
        lambda: run.client.slots.CreateSlot(pb.CreateSlotRequest(proof=wrong, name="a", key_file=bytes(32))),
    ]
    assert len(calls) == FREE
    for call in calls:
        with pytest.raises(BadPassword):
            await call()
    for call in calls:
        with pytest.raises(TooMany, match="wait 1 s"):
            await call()
    with pytest.raises(TooMany):
        await opens(run, key_file(run))  # the right one has to wait as well: nothing tells them apart
    now_s[0] += 1.0
    assert await opens(run, key_file(run)) == "key-file"


async def test_tries_at_once_and_tries_whose_callers_leave_are_counted_all_the_same(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, open_ = list[str](), Proofs.open

    def noting(own: Proofs, method: str, proof: pb.Proof, **more: Any) -> Any:
        begun.append(method)
        return open_(own, method, proof, **more)

    await add(run, password=secrets.token_hex(8).encode())
    monkeypatch.setattr(Proofs, "open", noting)
    request = pb.TestSlotRequest(proof=password("a wrong password"))
    leaving: list[Any] = [run.client.slots.TestSlot(request) for _ in range(3)]
    await until(lambda: len(begun) == 3)
    for each in leaving:
        each.cancel()
    calls = [run.client.slots.TestSlot(request) for _ in range(FREE)]
    kinds = [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)]
    assert kinds.count(BadPassword) <= FREE - 1
    assert TooMany in kinds


async def test_no_secret_is_in_a_record_or_in_an_error(run: Running) -> None:
    text = f"correct horse {secrets.token_hex(8)}"
    await add(run, password=text.encode())
    mnemonics = list((await add(run, shares=pb.NewShares())).mnemonics)
    broken = [" ".join(reversed(mnemonic.split())) for mnemonic in mnemonics[:3]]
    said = []
    for proof in (password(text), password(f"{text}x"), shares(broken), shares(mnemonics[:2])):
        try:
            await opens(run, proof)
        except QekmError as error:
            said += [repr(error), str(error.details), error.advice]
    said += [repr(record) for record in await run.records()]
    words = {word for mnemonic in mnemonics for word in mnemonic.split() if len(word) > 6}
    assert len(said) > 8
    for line in said:
        assert "horse" not in line
        assert not words & set(line.replace("'", " ").split())
