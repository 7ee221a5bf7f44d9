"""What people type when a command of docs/operations.md asks them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, MutableMapping

_PASSWORD = re.compile(r"(?P<new>New )?[\w ]*?[Pp]assword(?: of (?:\w+/)?(?P<whose>\w+))?:$")
_FIXED = (
    (re.compile(r"\[y/N\]:?$"), "y"),
    (re.compile(r"^Type how many keys .*:$"), "1"),
    (re.compile(r" or yes if it is the same:$"), "yes"),
)


class Answers:
    """A person at a machine, who knows or invents passwords, and has recovery shares before him.

    passwords: by whose they are; a new one is entered there.
    """

    def __init__(self, person: str, passwords: MutableMapping[str, str], shares: list[str]) -> None:
        self._person, self._passwords = person, passwords
        self._shares: Iterator[str] = iter(shares)
        self._last = ""

    def __call__(self, prompt: str) -> str | None:
        """Return what is typed to a prompt; None where nothing is asked."""
        for asked, answer in _FIXED:
            if asked.search(prompt):
                return answer
        if prompt.startswith("Recovery share"):
            return next(self._shares, "")
        if prompt != "The same again:":
            self._last = self._password(prompt)
        return self._last or None

    def _password(self, prompt: str) -> str:
        found = _PASSWORD.search(prompt)
        if found is None:
            return self._passwords["old keystore"] if prompt == "Password of the Java keystore:" else ""
        whose = found["whose"] or ("keystore" if "eystore" in prompt else self._person)
        if found["new"] or whose not in self._passwords:
            self._passwords[whose] = secrets.token_urlsafe(12)
        return self._passwords[whose]
