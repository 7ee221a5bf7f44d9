"""A tape library's partition: slots, drives, and the key managers that its drives are sent to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from qekm.dkp.codes import Ask
from qekm.dkp.pages import NOT_ENCRYPTED, akad_of, encryption_status
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.cartridge import Cartridge
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome
from qekm_gateway.simulator.link import USUAL, NoAnswer, Patience, Server, ask_servers
from qekm_gateway.simulator.order import Order
from qekm_gateway.simulator.sense import (
    ILLEGAL_REQUEST,
    NOT_LOADED,
    NOT_READY,
    UNABLE_TO_DECRYPT_PARAMETERS,
    CheckCondition,
)

MOUNT_ID_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Mount:
    """A cartridge in a drive; the id is made when it is loaded and stays until it is unloaded."""

    cartridge: Cartridge
    mount_id: bytes


class Library:
    """A partition. Cartridges are named by volser, drives by serial; KeyError for a name that is not here."""

    def __init__(
        self,
        serial: str,
        drives: Sequence[Drive],
        servers: Sequence[Server],
        anchors: Anchors,
        random_bytes: Callable[[int], bytes],
        now_us: Callable[[], int],
        patience: Patience = USUAL,
    ) -> None:
        """Take the servers in the order in which they are preferred."""
        self.serial = serial
        self.drives = {drive.serial: drive for drive in drives}
        self.servers = tuple(servers)
        self.anchors = anchors
        self.slots: dict[str, Cartridge] = {}
        self.mounts: dict[str, Mount] = {}
        # What an operator would see as tickets: server, and what went wrong there.
        self.tickets: list[tuple[Server, CheckCondition]] = []
        self._random_bytes = random_bytes
        self._now_us = now_us
        self._patience = patience
        self._order = Order(patience.away, time.monotonic)

    def insert(self, cartridge: Cartridge) -> None:
        """Put a cartridge into a free slot; ValueError if the volser is here already."""
        mounted = {mount.cartridge.volser for mount in self.mounts.values()}
        if cartridge.volser in self.slots.keys() | mounted:
            raise ValueError(f"{cartridge.volser} is in the library already")
        self.slots[cartridge.volser] = cartridge

    def eject(self, volser: str) -> Cartridge:
        """Take a cartridge out of its slot and hand it over."""
        return self.slots.pop(volser)

    def load(self, volser: str, serial: str) -> None:
        """Move a cartridge from its slot into a drive; ValueError if the drive has one."""
        if serial in self.mounts:
            raise ValueError(f"drive {serial} is loaded")
        drive, cartridge = self.drives[serial], self.slots[volser]
        drive.clear()
        self.mounts[serial] = Mount(cartridge, self._random_bytes(MOUNT_ID_LENGTH))
        del self.slots[volser]

    def unload(self, serial: str) -> None:
        """Move a drive's cartridge back into a slot; the drive forgets its key."""
        mount = self.mounts.pop(serial)
        self.drives[serial].clear()
        self.slots[mount.cartridge.volser] = mount.cartridge

    def request(self, serial: str, errand: Errand) -> Outcome:
        """Have a drive ask the key managers; CheckCondition if none serves it."""
        drive = self.drives[serial]
        return ask_servers(
            lambda: self._order.of(self.servers),
            lambda: Session(drive, errand, self.anchors, self._random_bytes, self._now_us),
            authorities=self.anchors.authorities,
            on_trouble=self._on_trouble,
            patience=self._patience,
        )

    def write(self, serial: str, source: BinaryIO, ask: Ask | None = Ask.CREATE) -> Outcome:
        """Record source on the loaded cartridge under a key that ask brings; with ask None in clear.

        CheckCondition if no key comes: nothing is ever written in clear instead, unless NO_KEY said so.
        """
        mount, drive = self._mounted(serial), self.drives[serial]
        drive.clear()
        outcome = Outcome(in_clear=True) if ask is None else self._key(serial, mount, ask)
        mount.cartridge.write(source, drive.key, self._random_bytes)
        return outcome

    def read(self, serial: str, sink: Callable[[bytes], object], ask: Ask = Ask.TRANSLATE) -> Outcome:
        """Hand the loaded cartridge's blocks to sink, asking for a key if its first block is encrypted."""
        mount, drive = self._mounted(serial), self.drives[serial]
        drive.clear()
        page = mount.cartridge.next_block_status()
        encrypted = akad_of(page) is not None and encryption_status(page) != NOT_ENCRYPTED
        outcome = self._key(serial, mount, ask, page) if encrypted else Outcome(in_clear=True)
        for block in mount.cartridge.read(drive.key):
            sink(block)
        return outcome

    def _on_trouble(self, server: Server, trouble: CheckCondition) -> None:
        self.tickets.append((server, trouble))
        if isinstance(trouble, NoAnswer):
            self._order.away(server)

    def _mounted(self, serial: str) -> Mount:
        if serial not in self.mounts:
            raise CheckCondition(NOT_READY, NOT_LOADED)
        return self.mounts[serial]

    def _key(self, serial: str, mount: Mount, ask: Ask, page: bytes = b"") -> Outcome:
        errand = Errand(
            ask=ask,
            volser=mount.cartridge.volser,
            mount_id=mount.mount_id,
            library_serial=self.serial,
            status_page=page if ask is Ask.TRANSLATE else b"",
        )
        outcome = self.request(serial, errand)
        if outcome.key is None and not outcome.in_clear:
            raise CheckCondition(ILLEGAL_REQUEST, UNABLE_TO_DECRYPT_PARAMETERS)
        return outcome
