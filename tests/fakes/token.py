"""A PKCS#11 token in a directory: SoftHSM 2, as Debian packages it. No fake, but no hardware either."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qekm.sealing import TokenKey, TokenSealer
from qekm.secret import Secret

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
_UTILITY = shutil.which("softhsm2-util")


@dataclass(frozen=True, slots=True)
class Token:
    """A token of its own, with a PIN and no key; the module reads its directory from SOFTHSM2_CONF."""

    directory: Path
    place: TokenKey
    pin: str

    def sealer(self, **other: str) -> TokenSealer:
        """Return the sealer of this token's key, or of another place."""
        return TokenSealer(replace(self.place, **other), Secret(self.pin.encode()))


def token_in(directory: Path, monkeypatch: pytest.MonkeyPatch, label: str = "qekm") -> Token:
    """Make a token that this process finds until the test ends; skips where there is no SoftHSM."""
    if _UTILITY is None or not MODULE.exists():
        pytest.skip("SoftHSM 2 is not installed (softhsm2)")
    directory.mkdir(exist_ok=True)
    settings = directory.with_suffix(".conf")
    settings.write_text(
        f"directories.tokendir = {directory}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    pin = f"{secrets.randbelow(10**8):08}"
    names = ["--label", label, "--so-pin", pin, "--pin", pin]
    subprocess.run([_UTILITY, "--init-token", "--free", *names], check=True, capture_output=True)
    return Token(directory, TokenKey(str(MODULE), label), pin)
