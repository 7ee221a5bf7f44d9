"""`qekm drives blocked` against a service in memory."""

from .conftest import Qekm
from .fake_service import FakeService


def test_list_shows_the_whole_hash(qekm: Qekm) -> None:
    assert qekm("drives", "blocked", "list").lines[1].split() == ["01" * 32, "2027-01-15T08:00:01Z"]
    document = qekm("drives", "blocked", "list", "--json").document
    assert [one["spki_sha256"] for one in document["blocked_keys"]] == ["01" * 32, "02" * 32]


def test_remove_takes_the_hash_or_its_beginning(qekm: Qekm, service: FakeService) -> None:
    told = qekm("drives", "blocked", "remove", "01:01:01:01")
    assert told.out == f"key {'01' * 32} may be used again\n"
    assert [key.spki_sha256.hex() for key in service.drives.blocked_keys] == ["02" * 32]


def test_remove_of_what_is_not_blocked_or_not_one_key_changes_nothing(
    qekm: Qekm, service: FakeService
) -> None:
    assert "qekm drives blocked list" in qekm("drives", "blocked", "remove", "99" * 32).err
    twin = type(service.drives.blocked_keys[0])(spki_sha256=bytes([1] * 31 + [2]))
    service.drives.blocked_keys.append(twin)
    assert "give more digits" in qekm("drives", "blocked", "remove", "01" * 8).err
    assert len(service.drives.blocked_keys) == 3
