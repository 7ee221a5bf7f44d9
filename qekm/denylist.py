"""The certificates that are refused although they verify, and who wants to hear of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class DenyList:
    """Serials (lower-case hex) of certificates that are refused from now on, though they verify."""

    def __init__(self, serials: Iterable[str]) -> None:
        self._serials = set(serials)
        self._watchers: list[Callable[[str], None]] = []

    def __contains__(self, serial: object, /) -> bool:
        return serial in self._serials

    def watch(self, ended: Callable[[str], None], /) -> None:
        """Call `ended` with each serial that is added from now on."""
        self._watchers.append(ended)

    def add(self, serial: str) -> None:
        """Refuse a certificate from now on."""
        self._serials.add(serial)
        for ended in self._watchers:
            ended(serial)
