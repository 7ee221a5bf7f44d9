"""Own how far each server of the estate was, as it told: who lost its newest commits is told by the others.

A checkpoint's place in the trail is signed with the trail's key, so whoever has the public key can hold the
trail against it, whatever became of the store in between. Memory only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qekm.audit import Verdict
from qekm.model import Checkpoint
from qekm.store import Link, Witness
from qekm.store.chain import head_message


class Checkpoints:
    """One of each server, by its instance."""

    def __init__(self, rows: Iterable[Checkpoint], instance: bytes, public_key: bytes) -> None:
        """Take the store's rows; instance and the trail's public key are this server's own."""
        self._known = {row.instance: row for row in rows}
        self._instance, self._public_key = instance, public_key

    def __iter__(self) -> Iterator[Checkpoint]:
        """Give all, the newest last."""
        return iter(sorted(self._known.values(), key=lambda each: (each.time_us, each.instance)))

    @property
    def own(self) -> Checkpoint | None:
        """Return this server's own, None before the first."""
        return self._known.get(self._instance)

    def is_due(self, sequence: int) -> bool:
        """Tell whether the trail has grown since this server told; sequence: its last record's."""
        return self.own is None or sequence > self.own.sequence

    def tell(self, witness: Witness, head: Link, now_us: int) -> Checkpoint:
        """Return this server's own as it is now; head: the last record, which is signed."""
        assert head.signature is not None
        place = self._instance, witness.epoch, witness.sequence, witness.root
        return self.take(
            Checkpoint(*place, head.sequence, head.hash, head.signature, self._public_key, now_us)
        )

    def take(self, checkpoint: Checkpoint) -> Checkpoint:
        """Put one, of this server or another, in the place of the one before."""
        self._known[checkpoint.instance] = checkpoint
        return checkpoint

    def behind(self, witness: Witness) -> str:
        """Return why this store is an old copy of what it was when it told; empty if it is not."""
        own = self.own
        if own is None or (witness.epoch, witness.sequence) >= (own.epoch, own.commit):
            return ""
        return (
            f"another server knows commit {own.commit:,} of epoch {own.epoch} of this store, "
            f"which is at {witness.sequence:,} of epoch {witness.epoch}"
        )


class Held:
    """Holds a trail against checkpoints while it is checked: what was there then must be there now."""

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint],
        public_key: Ed25519PublicKey,
        seen: Iterable[tuple[int, bytes]] = (),
    ) -> None:
        """Take checkpoints, of which those count that the trail's key signed; seen: what a person says."""
        self._wanted = {each.sequence: each.hash for each in checkpoints if _is_signed(each, public_key)}
        self._wanted.update(seen)
        self._seen: dict[int, bytes] = {}

    def watch(self, links: Iterable[Link]) -> Iterator[Link]:
        """Pass the links on."""
        for link in links:
            if link.sequence in self._wanted:
                self._seen[link.sequence] = link.hash
            yield link

    def judge(self, verdict: Verdict) -> Verdict:
        """Return what the check found, or where the trail is not the one that was told of."""
        for sequence, hash_ in sorted(self._wanted.items()):
            if verdict.intact and self._seen.get(sequence) != hash_:
                if sequence not in self._seen:
                    what = f"the trail ends here, and had {sequence:,} records when this server told others"
                    return replace(verdict, broken_at=verdict.checked + 1, reason=what)
                return replace(
                    verdict, broken_at=sequence, reason="the record is another than this server told others"
                )
        return verdict


def _is_signed(each: Checkpoint, public_key: Ed25519PublicKey) -> bool:
    try:
        public_key.verify(each.signature, head_message(each.sequence, each.hash))
    except (InvalidSignature, ValueError, OverflowError):
        return False
    return True
