"""The system's openssl, as another implementation of CMS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.qekm.interchange.organisation import Identity

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

OAEP = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")
PSS = ("rsa_padding_mode:pss", "rsa_pss_saltlen:32", "rsa_mgf1_md:sha256")


class OpenSsl:
    """`openssl cms` over files in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, content: bytes) -> str:
        """Write a file and return its path."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def cms(self, data: bytes, *arguments: str) -> bytes:
        """Return what `openssl cms` makes of the bytes; CalledProcessError if it refuses."""
        source, target = self.keep("in.der", data), self.folder / "out.der"
        target.unlink(missing_ok=True)
        command = ["openssl", "cms", "-binary", "-in", source, "-out", str(target), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return target.read_bytes()

    def decrypt(self, data: bytes, recipient: Identity) -> bytes:
        """Return what is in an envelope."""
        certificate, key = (
            self.keep("recipient.pem", recipient.pem()),
            self.keep("key.pem", recipient.key_pem()),
        )
        return self.cms(data, "-decrypt", "-inform", "DER", "-recip", certificate, "-inkey", key)

    def verify(self, data: bytes, root: Identity) -> bytes:
        """Return what was signed below this root."""
        return self.cms(data, "-verify", "-inform", "DER", "-CAfile", self.keep("root.pem", root.pem()))

    def sign(
        self, data: bytes, *senders: Identity, options: tuple[str, ...] = (), md: str = "sha256"
    ) -> bytes:
        """Sign bytes with each of the senders."""
        arguments = ["-sign", "-nodetach", "-outform", "DER", "-md", md]
        for number, sender in enumerate(senders):
            arguments += ["-signer", self.keep(f"sender{number}.pem", sender.pem())]
            arguments += ["-inkey", self.keep(f"sender{number}.key", sender.key_pem()), *_options(options)]
        return self.cms(data, *arguments)

    def encrypt(
        self,
        data: bytes,
        *recipients: Identity,
        options: tuple[str, ...] = OAEP,
        cipher: str = "aes-256-gcm",
        more: tuple[str, ...] = (),
    ) -> bytes:
        """Encrypt bytes to each of the recipients."""
        arguments = ["-encrypt", "-outform", "DER", f"-{cipher}", *more]
        for number, recipient in enumerate(recipients):
            arguments += ["-recip", self.keep(f"recipient{number}.pem", recipient.pem()), *_options(options)]
        return self.cms(data, *arguments)


def _options(options: tuple[str, ...]) -> list[str]:
    return [part for option in options for part in ("-keyopt", option)]
