"""KeystoreService over the wire."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from qekm.api.requests import Orders
from qekm.errors import BadArgument, BadPageToken, StoreDamaged, UnknownGroup, UnknownKey
from qekm.model import Cartridge
from qekm.v1 import keystore_pb2 as pb
from tests.qekm.api.running import Running, collect, running


async def test_the_summary_tells_identity_protection_slot_and_counts(run: Running) -> None:
    told = await run.client.keystore.GetKeystore(pb.GetKeystoreRequest())
    assert (told.estate_id, told.epoch, told.slot) == (run.store.estate_id, 1, "key-file")
    assert told.protection == pb.PROTECTION_NONE
    assert [(count.state, count.count) for count in told.counts] == [(pb.KEY_STATE_READY, 64)]


async def test_a_key_is_found_by_alias_in_any_case_and_by_dki_and_no_material_is_told(run: Running) -> None:
    (key,) = (await run.client.keystore.ListKeys(pb.ListKeysRequest(page_size=1))).keys
    for request in (pb.GetKeyRequest(alias=key.alias.lower()), pb.GetKeyRequest(dki=key.dki)):
        assert (await run.client.keystore.GetKey(request)).key == key
    assert (key.state, key.group, key.algorithm) == (pb.KEY_STATE_READY, "default", "AES-256")
    assert len(key.check_value) == 4
    assert not key.HasField("assign_time")


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.GetKeyRequest(alias="QKM00000000000000FFFF"), UnknownKey),
        (pb.GetKeyRequest(alias="\0' OR 1=1"), UnknownKey),
        (pb.GetKeyRequest(dki=bytes(12)), UnknownKey),
        (pb.GetKeyRequest(dki=b"short"), BadArgument),
        (pb.GetKeyRequest(), UnknownKey),
    ],
)
async def test_what_names_no_key_is_refused(
    run: Running, request_: pb.GetKeyRequest, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await run.client.keystore.GetKey(request_)


async def test_pages_give_every_key_once_in_order_of_aliases(run: Running) -> None:
    seen: list[str] = []
    request = pb.ListKeysRequest(page_size=10)
    while True:
        page = await run.client.keystore.ListKeys(request)
        seen += [key.alias for key in page.keys]
        if not page.next_page_token:
            break
        assert len(page.keys) == 10
        request.page_token = page.next_page_token
    assert len(seen) == len(set(seen)) == 64
    assert seen == sorted(seen)


async def test_lists_refuse_unknown_groups_states_and_tokens(run: Running) -> None:
    for request, error in (
        (pb.ListKeysRequest(group="none"), UnknownGroup),
        (pb.ListKeysRequest(state=99), BadArgument),  # type: ignore[arg-type]
        (pb.ListKeysRequest(page_token="QUJD"), BadPageToken),
    ):
        with pytest.raises(error):
            await run.client.keystore.ListKeys(request)
    with pytest.raises(UnknownKey):
        await run.client.keystore.ListCartridges(pb.ListCartridgesRequest(alias="QKM00000000000000FFFF"))


@pytest.mark.parametrize("newest_first", [False, True])
async def test_uses_of_keys_are_listed_in_order_and_filtered(run: Running, newest_first: bool) -> None:
    aliases = [key.alias for key in (await run.client.keystore.ListKeys(pb.ListKeysRequest())).keys[:2]]
    uses = [Cartridge(f"E0100{n}L4", aliases[n % 2], "001300000392", bytes(8), n + 1) for n in range(5)]
    await run.store.commit(uses)
    request = pb.ListCartridgesRequest(page_size=3, newest_first=newest_first)
    first = await run.client.keystore.ListCartridges(request)
    request.page_token = first.next_page_token
    rest = await run.client.keystore.ListCartridges(request)
    found = [*first.cartridges, *rest.cartridges]
    assert [use.volser for use in found[:: -1 if newest_first else 1]] == [use.volser for use in uses]
    assert not rest.next_page_token
    own = await run.client.keystore.ListCartridges(pb.ListCartridgesRequest(alias=aliases[0].lower()))
    assert [use.volser for use in own.cartridges] == ["E01000L4", "E01002L4", "E01004L4"]
    one = await run.client.keystore.ListCartridges(pb.ListCartridgesRequest(volser="E01003L4"))
    assert [use.alias for use in one.cartridges] == [aliases[1]]


async def test_keys_are_made_in_durable_batches_with_progress(run: Running) -> None:
    await run.unlock()
    answers = await collect(run.client.keystore.GenerateKeys(pb.GenerateKeysRequest(count=150)))
    assert [(answer.done, answer.total) for answer in answers] == [(64, 150), (128, 150), (150, 150)]
    assert answers[-1].first_alias < answers[-1].last_alias
    stored = {key.alias for key in run.store.load().keys}
    assert len(stored) == 64 + 150
    assert {answers[-1].first_alias, answers[-1].last_alias} <= stored
    told = [record for record in await run.records() if record.event == "rpc.GenerateKeys"]
    assert [record.actor for record in told] == ["administrator/administrator"] * 3
    assert told[-1].message.startswith("22 keys for group default")


@pytest.mark.parametrize("count", [0, 100_001])
async def test_a_count_out_of_range_is_refused(run: Running, count: int) -> None:
    with pytest.raises(BadArgument, match="100,000"):
        await collect(run.client.keystore.GenerateKeys(pb.GenerateKeysRequest(count=count)))


async def test_the_same_request_id_makes_no_second_batch_even_at_once(run: Running) -> None:
    await run.unlock()
    request = pb.GenerateKeysRequest(count=70, request_id=str(uuid.uuid4()))
    calls = [collect(run.client.keystore.GenerateKeys(request)) for _ in range(3)]
    ends = [answers[-1] for answers in await asyncio.gather(*calls)]
    ends.append((await collect(run.client.keystore.GenerateKeys(request)))[-1])
    assert all(end == ends[0] for end in ends)
    assert len(run.store.load().keys) == 64 + 70


async def test_a_request_id_is_remembered_over_a_restart_and_forgotten_after_a_day(tmp_path: Path) -> None:
    request = pb.GenerateKeysRequest(count=10, request_id=str(uuid.uuid4()))
    async with running(tmp_path / "home", keys=0) as run:
        await run.unlock()
        await collect(run.client.keystore.GenerateKeys(request))
    async with running(tmp_path / "home") as run:
        await run.unlock()
        await collect(run.client.keystore.GenerateKeys(request))
        assert len(run.store.load().keys) == 10
        run.clock.ahead_us += 24 * 3_600 * 1_000_000
        await collect(run.client.keystore.GenerateKeys(request))
        assert len(run.store.load().keys) == 20
        assert sum(name.startswith("generate.") for name in run.store.load().settings) == 1


async def test_a_request_that_was_cut_off_goes_on_where_it_stopped(run: Running) -> None:
    await run.unlock()
    request = pb.GenerateKeysRequest(count=2_000, request_id=str(uuid.uuid4()))
    stream = run.client.keystore.GenerateKeys(request)
    async for answer in stream:
        if answer.done >= 128:
            stream.cancel()
            break
    last = (await collect(run.client.keystore.GenerateKeys(request)))[-1]
    assert (last.done, last.total) == (2_000, 2_000)
    assert len(run.store.load().keys) == 64 + 2_000


async def test_a_request_id_of_another_request_or_that_is_no_uuid_is_refused(run: Running) -> None:
    await run.unlock()
    request = pb.GenerateKeysRequest(count=1, request_id=str(uuid.uuid4()))
    await collect(run.client.keystore.GenerateKeys(request))
    request.count = 2
    with pytest.raises(BadArgument, match="was used for 1 keys"):
        await collect(run.client.keystore.GenerateKeys(request))
    with pytest.raises(BadArgument, match="UUID"):
        await collect(run.client.keystore.GenerateKeys(pb.GenerateKeysRequest(count=1, request_id="x")))


@pytest.mark.parametrize(
    "value", ["", "[]", "{}", '{"request_id": [], "total": 1, "group": "a", "time_us": 1}']
)
def test_an_order_in_the_store_that_cannot_be_is_damage(value: str) -> None:
    with pytest.raises(StoreDamaged):
        Orders({"generate.0": value}, lambda: 1)
