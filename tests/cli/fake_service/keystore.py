"""The fake of the keystore service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qekm.errors import KeystoreLocked, QekmError, UnknownKey
from qekm.v1 import keystore_pb2

from .parts import key, moment, page_of


class FakeKeystore:
    """Keys and cartridges."""

    def __init__(self) -> None:
        active = keystore_pb2.KEY_STATE_ACTIVE
        self.keys = [
            key(1, state=active, assign_time=moment(5), drive_serial="001300000392", volser="E01001L4"),
            *(key(number) for number in (2, 3, 4, 5)),
            key(6, state=keystore_pb2.KEY_STATE_PROCESS_ONLY, group="archive"),
        ]
        self.cartridges = [
            keystore_pb2.Cartridge(
                volser="E01001L4",
                alias=self.keys[0].alias,
                drive_serial="001300000392",
                drive_wwnn=bytes.fromhex("500308c09e4a1001"),
                write_time=moment(6),
            )
        ]
        self.fail_after: QekmError | None = None
        self.needed: QekmError | None = None
        self.backups: list[str] = []
        self.locked = False
        self.proofs: list[Any] = []
        self.requests: list[Any] = []

    def _to(self, aliases: Any, state: keystore_pb2.KeyState, **more: Any) -> list[Any]:
        """Put keys into a state."""
        found = [one for one in self.keys if one.alias in [alias.upper() for alias in aliases]]
        for one in found:
            one.state = state
            for name, value in more.items():
                getattr(one, name).CopyFrom(value)
        return found

    def DeactivateKeys(self, request: Any) -> Any:
        """Make keys PROCESS_ONLY."""
        keys = self._to(request.aliases, keystore_pb2.KEY_STATE_PROCESS_ONLY)
        return keystore_pb2.DeactivateKeysResponse(keys=keys)

    def CompromiseKeys(self, request: Any) -> Any:
        """Make keys COMPROMISED."""
        self.requests.append(request)
        keys = self._to(request.aliases, keystore_pb2.KEY_STATE_COMPROMISED)
        return keystore_pb2.CompromiseKeysResponse(keys=keys)

    def DestroyKeys(self, request: Any) -> Any:
        """Condemn keys, unless a second person is needed."""
        if self.needed:
            raise self.needed
        keys = self._to(request.aliases, keystore_pb2.KEY_STATE_DESTROY_PENDING, destroy_time=moment(604_800))
        return keystore_pb2.DestroyKeysResponse(keys=keys, backups=self.backups)

    def KeepKeys(self, request: Any) -> Any:
        """Keep keys."""
        keys = self._to(request.aliases, keystore_pb2.KEY_STATE_ACTIVE)
        return keystore_pb2.KeepKeysResponse(keys=keys)

    def ListKeys(self, request: Any) -> Any:
        """Answer a page of keys."""
        found = [
            one for one in self.keys if request.group in ("", one.group) and request.state in (0, one.state)
        ]
        keys, token = page_of(found, request)
        return keystore_pb2.ListKeysResponse(keys=keys, next_page_token=token)

    def GetKey(self, request: Any) -> Any:
        """Find a key by alias or DKi."""
        for one in self.keys:
            if one.dki == request.dki or (request.alias and one.alias == request.alias.upper()):
                return keystore_pb2.GetKeyResponse(key=one)
        raise UnknownKey(f"no key {request.alias or request.dki.hex()}")

    def ListCartridges(self, request: Any) -> Any:
        """Answer a page of cartridges."""
        found = [
            one
            for one in self.cartridges
            if request.volser in ("", one.volser) and request.alias in ("", one.alias)
        ][:: -1 if request.newest_first else 1]
        cartridges, token = page_of(found, request)
        return keystore_pb2.ListCartridgesResponse(cartridges=cartridges, next_page_token=token)

    def GenerateKeys(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Make keys in two steps; a planned error comes after the first."""
        assert timeout and timeout > 30, "a long call needs a deadline of its own"
        if self.locked:
            raise KeystoreLocked("GenerateKeys needs a slot of the keystore opened first", act="GenerateKeys")
        self.requests.append(request)
        yield keystore_pb2.GenerateKeysResponse(done=request.count // 2, total=request.count)
        if self.fail_after:
            raise self.fail_after
        made = [key(len(self.keys) + 1 + n, group=request.group or "default") for n in range(request.count)]
        self.keys += made
        yield keystore_pb2.GenerateKeysResponse(
            done=request.count, total=request.count, first_alias=made[0].alias, last_alias=made[-1].alias
        )

    def GetKeystore(self, request: Any) -> Any:
        """Tell the summary."""
        ready = keystore_pb2.KeyCount(state=keystore_pb2.KEY_STATE_READY, count=1024)
        return keystore_pb2.GetKeystoreResponse(
            estate_id=bytes(16),
            epoch=1,
            protection=keystore_pb2.PROTECTION_NONE,
            slot="key-file",
            counts=[ready],
            two_person=True,
            record_version=2,
            rotating_count=1000,
        )

    def UnlockKeystore(self, request: Any) -> Any:
        """Open, whatever is given."""
        self.proofs.append(request.proof)
        self.locked = False
        return keystore_pb2.UnlockKeystoreResponse(slot="password", expire_time=moment(600))

    def LockKeystore(self, request: Any) -> Any:
        """Close."""
        self.locked = True
        return keystore_pb2.LockKeystoreResponse()

    def RotateKeystore(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Seal in two steps."""
        assert timeout and timeout > 30, "a long call needs a deadline of its own"
        self.proofs.append(request.proof)
        for done in (500, 1024):
            yield keystore_pb2.RotateKeystoreResponse(version=2, done=done, total=1024)
