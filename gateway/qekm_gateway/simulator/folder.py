"""A simulated library's folder: its drive authority and its drives, as files that only their owner reads.

authority/ca.pem, authority/ca.key; drives/SERIAL/: drive.json (who it is, when its session key was made),
drive.pem (certificates, leaf first), drive.key (authentication key), dsk.key (session key).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from qekm_gateway.simulator.authority import Authority
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.keys import make_session_key
from qekm_gateway.simulator.signatures import PrivateKey, Signer


def dump_authority(folder: Path, authority: Authority) -> None:
    """Write a new folder's authority; FileExistsError if it has one."""
    place = folder / "authority"
    place.mkdir(mode=0o700, parents=True)
    _write(place / "ca.pem", authority.certificate.public_bytes(Encoding.PEM))
    _write(place / "ca.key", _pem(authority.private))


def load_authority(folder: Path) -> Authority:
    """Read the authority of a folder."""
    place = folder / "authority"
    private = cast(ec.EllipticCurvePrivateKey, _load_key(place / "ca.key"))
    return Authority(x509.load_pem_x509_certificate((place / "ca.pem").read_bytes()), private)


def dump_drive(folder: Path, drive: Drive) -> None:
    """Write a drive, over an older state of itself."""
    place = folder / "drives" / drive.serial
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificates = (x509.load_der_x509_certificate(der) for der in drive.certificates)
    _write(place / "drive.pem", b"".join(item.public_bytes(Encoding.PEM) for item in certificates))
    _write(place / "drive.key", _pem(drive.signer.private))
    state: dict[str, str | int] = {
        "serial": drive.serial,
        "wwnn": drive.wwnn.hex(),
        "vendor": drive.vendor,
        "product": drive.product,
        "firmware": drive.firmware,
    }
    if drive.session_key is not None:
        _write(place / "dsk.key", _pem(drive.session_key.private))
        state["session_key_create_time_us"] = drive.session_key.create_time_us
    _write(place / "drive.json", json.dumps(state, indent=2).encode() + b"\n")


def load_drive(folder: Path, serial: str, now_us: int) -> Drive:
    """Read a drive; a session key that is a day old is made anew, and written. KeyError: no such drive."""
    place = folder / "drives" / serial
    if not (place / "drive.json").is_file():
        raise KeyError(serial)
    state = json.loads((place / "drive.json").read_bytes())
    signer = Signer(_load_key(place / "drive.key"))
    certificates = x509.load_pem_x509_certificates((place / "drive.pem").read_bytes())
    drive = Drive(
        serial=state["serial"],
        wwnn=bytes.fromhex(state["wwnn"]),
        signer=signer,
        certificates=tuple(item.public_bytes(Encoding.DER) for item in certificates),
        vendor=state["vendor"],
        product=state["product"],
        firmware=state["firmware"],
    )
    if "session_key_create_time_us" in state:
        private = cast(rsa.RSAPrivateKey, _load_key(place / "dsk.key"))
        drive.session_key = make_session_key(serial, signer, private, state["session_key_create_time_us"])
    found = drive.session_key
    if drive.current_session_key(now_us) is not found:
        dump_drive(folder, drive)
    return drive


def list_drives(folder: Path) -> list[str]:
    """Return the serials of a folder's drives, sorted."""
    return sorted(item.parent.name for item in (folder / "drives").glob("*/drive.json"))


def _write(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that is whole at every moment."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    scratch.replace(path)


def _pem(private: PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_key(path: Path) -> PrivateKey:
    return cast(PrivateKey, load_pem_private_key(path.read_bytes(), None))
