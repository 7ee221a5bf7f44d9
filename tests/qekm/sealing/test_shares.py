"""Any m of n shares open the store, fewer open nothing, and a mistyped one is named."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shamir_mnemonic import Share, generate_mnemonics
from shamir_mnemonic.wordlist import WORDLIST

from qekm.errors import BadArgument, BadPassword, BadShares
from qekm.sealing import SharesSealer, combine, read_shares, split
from qekm.secret import Secret
from tests.qekm.sealing.slip39 import secret_of

ROOT = bytes(range(32))
WRITTEN = json.loads(Path(__file__).with_name("shares.json").read_text())
FIVE = split()


@pytest.mark.parametrize("vector", WRITTEN["vectors"], ids=lambda vector: vector["name"])
def test_shares_that_were_written_down_give_what_is_written_with_them(vector: dict[str, Any]) -> None:
    if "secret" in vector:
        assert combine(vector["shares"]).reveal().hex() == vector["secret"]
        return
    with pytest.raises(BadShares) as refused:
        combine(vector["shares"])
    assert vector["error"] in refused.value.message
    assert refused.value.details.get("share") == vector.get("share")


def test_shares_that_were_written_down_open_the_slot_of_then() -> None:
    sealer = SharesSealer(WRITTEN["vectors"][0]["shares"])
    assert sealer.unseal(bytes.fromhex(WRITTEN["slot"])).reveal().hex() == WRITTEN["root"]


def test_three_of_five_are_the_default_and_each_has_33_words() -> None:
    assert [len(mnemonic.split()) for mnemonic in FIVE] == [33] * 5
    assert {Share.from_mnemonic(mnemonic).member_threshold for mnemonic in FIVE} == {3}
    assert {Share.from_mnemonic(mnemonic).iteration_exponent for mnemonic in FIVE} == {0}


@pytest.mark.parametrize("three", [*combinations(range(5), 3)], ids=str)
def test_any_three_of_five_open(three: tuple[int, ...]) -> None:
    slot = SharesSealer(FIVE).seal(Secret(ROOT))
    assert SharesSealer([FIVE[number] for number in three]).unseal(slot).reveal() == ROOT
    assert ROOT not in slot


@pytest.mark.parametrize("two", [*combinations(range(5), 2)], ids=str)
def test_any_two_of_five_do_not_even_make_a_sealer(two: tuple[int, ...]) -> None:
    with pytest.raises(BadShares, match="1 more is missing"):
        SharesSealer([FIVE[number] for number in two])


@pytest.mark.parametrize("two", [*combinations(range(5), 2)], ids=str)
def test_two_of_five_with_a_third_that_was_guessed_do_not_combine(two: tuple[int, ...]) -> None:
    third = next(number for number in range(5) if number not in two)
    guessed = replace(Share.from_mnemonic(FIVE[third]), value=bytes(32)).mnemonic()
    with pytest.raises(BadShares, match="do not fit together"):
        combine([*(FIVE[number] for number in two), guessed])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_m_of_n_open_and_one_fewer_do_not(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 16))
    needed = data.draw(st.integers(2, count))
    mnemonics = data.draw(st.permutations(split(needed, count)))
    slot = SharesSealer(mnemonics[:needed]).seal(Secret(ROOT))
    assert SharesSealer(mnemonics[-needed:]).unseal(slot).reveal() == ROOT
    with pytest.raises(BadShares, match="missing" if needed > 1 else "no shares"):
        SharesSealer(mnemonics[: needed - 1])


@pytest.mark.parametrize(("needed", "count"), [(2, 2), (3, 5), (16, 16)])
def test_the_standard_read_once_more_gives_the_same_secret(needed: int, count: int) -> None:
    mnemonics = split(needed, count, random_bytes=lambda length: bytes(range(length)))
    assert secret_of(mnemonics[-needed:]) == bytes(range(32)) == combine(mnemonics).reveal()


@pytest.mark.parametrize(("needed", "count"), [(1, 1), (1, 5), (0, 5), (4, 3), (2, 17), (17, 17), (-1, 2)])
def test_other_numbers_of_shares_are_not_made(needed: int, count: int) -> None:
    with pytest.raises(BadArgument) as refused:
        split(needed, count)
    assert refused.value.details["field"] == "threshold"


def test_every_split_has_a_secret_of_its_own() -> None:
    assert combine(FIVE).reveal() != combine(split()).reveal()


def test_shares_of_another_store_belong_together_and_open_nothing() -> None:
    slot = SharesSealer(FIVE).seal(Secret(ROOT))
    with pytest.raises(BadPassword, match="the set of shares does not open this store"):
        SharesSealer(split()).unseal(slot)


@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_up_to_three_wrong_words_are_always_found(wrong: int) -> None:
    chance = random.Random(wrong)
    for _ in range(300):
        words = FIVE[0].split()
        for place in chance.sample(range(33), wrong):
            words[place] = chance.choice([word for word in WORDLIST if word != words[place]])
        with pytest.raises(BadShares) as refused:
            combine([FIVE[1], FIVE[2], " ".join(words)])
        assert refused.value.details["share"] == "3"


def test_an_error_repeats_no_word_of_a_share() -> None:
    """A mistyped word is next to the right one. Words of the sentences themselves do not count."""
    ours = {"share", "is", "of", "the", "its", "none", "that"}
    words = FIVE[0].split()
    for place, word in ((5, "zzyzx"), (9, "academic"), (12, FIVE[1].split()[9])):
        typed = [*words[:place], word, *words[place + 1 :]]
        with pytest.raises(BadShares) as refused:
            combine([" ".join(typed), FIVE[1], FIVE[2]])
        said = refused.value.message + " " + refused.value.advice
        assert not set(said.replace(":", "").split()) & (set(typed) - ours)


def test_a_share_that_asks_for_minutes_of_work_is_refused_at_once() -> None:
    slow = [replace(Share.from_mnemonic(mnemonic), iteration_exponent=15).mnemonic() for mnemonic in FIVE[:3]]
    began = time.thread_time()  # not the wall's: others use this machine, too
    with pytest.raises(BadShares, match="another program"):
        combine(slow)
    took = time.thread_time() - began
    print(f"refused after {1000 * took:.1f} ms (aim 100)")
    assert took < 3 * 0.1


@given(st.lists(st.text(max_size=300), max_size=4))
def test_whatever_is_typed_only_bad_shares_is_raised(typed: list[str]) -> None:
    with pytest.raises(BadShares):
        combine(typed)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(
            Share,
            st.just(0),
            st.booleans(),
            st.sampled_from([0, 0, 0, 1, 15]),
            st.integers(0, 15),
            st.just(1),
            st.sampled_from([1, 1, 1, 16]),
            st.integers(0, 15),
            st.sampled_from([1, 2, 2, 3, 16]),
            st.binary(min_size=32, max_size=32),
        ),
        max_size=4,
    )
)
def test_whatever_a_share_with_a_right_checksum_says_only_bad_shares_is_raised(shares: list[Share]) -> None:
    """Combining by chance needs a digest of 4 bytes to fit."""
    with pytest.raises(BadShares):
        combine([share.mnemonic() for share in shares])


# A file of shares.


def test_a_file_has_one_share_a_line_and_may_say_more() -> None:
    text = "\ufeff# Q-EKM, archive B\r\n\r\n" + "\r\n".join(
        f"   {mnemonic.upper()}  # held by person {number}" for number, mnemonic in enumerate(FIVE)
    )
    assert read_shares(text.encode()) == FIVE
    assert read_shares(b"") == read_shares(b"# nothing\n") == []


@given(st.lists(st.sampled_from(FIVE), max_size=16), st.text(alphabet="abc d#é", max_size=9))
def test_what_is_written_to_a_file_reads_back(mnemonics: list[str], said: str) -> None:
    assert read_shares("".join(f"{mnemonic} #{said}\n" for mnemonic in mnemonics).encode()) == mnemonics


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_only_bad_shares_is_raised(content: bytes) -> None:
    try:
        mnemonics = read_shares(content)
    except BadShares:
        return
    with pytest.raises(BadShares):
        combine(mnemonics)


@pytest.mark.parametrize("content", [b"\xff\xfea\0c\0i\0d\0", b"#" * 65_537])
def test_a_file_that_is_no_text_or_too_long_is_refused(content: bytes) -> None:
    with pytest.raises(BadShares, match="a file of shares"):
        read_shares(content)


def test_a_sealer_shows_nothing_of_the_shares() -> None:
    sealer = SharesSealer(FIVE)
    shown = repr(sealer) + str(vars(sealer))
    assert not any(mnemonic in shown for mnemonic in FIVE)
    assert combine(FIVE).reveal().hex() not in shown


def test_shares_of_one_group_and_no_passphrase_from_another_tool_are_read_alike() -> None:
    [theirs] = generate_mnemonics(1, [(2, 3)], bytes(32), iteration_exponent=0)
    assert combine(theirs[:2]).reveal() == bytes(32)
