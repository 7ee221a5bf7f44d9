"""Drives in files: what is read is what was written, and only the owner can."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qekm_gateway.simulator.drive import DAY_US, Drive
from qekm_gateway.simulator.folder import dump_authority, dump_drive, list_drives, load_authority, load_drive
from tests.fakes.key_manager import KeyManager
from tests.gateway.simulator.rig import SERIAL, authority, made_drive, now_us, play


@pytest.mark.parametrize("rsa_key", [False, True], ids=["P-256", "RSA-2048"])
def test_a_drive_comes_back_as_it_was(tmp_path: Path, rsa_key: bool) -> None:
    made = made_drive(rsa_key=rsa_key)
    dump_drive(tmp_path, made)
    loaded = load_drive(tmp_path, SERIAL, now_us())
    assert (loaded.serial, loaded.wwnn, loaded.certificates) == (made.serial, made.wwnn, made.certificates)
    assert loaded.session_key is not None
    assert made.session_key is not None
    assert loaded.session_key.private.private_numbers() == made.session_key.private.private_numbers()
    outcome = play(KeyManager(), loaded)
    assert outcome is not None
    assert outcome.confirmed


def test_the_session_key_is_made_anew_after_a_day_and_kept_for_the_next_process(tmp_path: Path) -> None:
    dump_drive(tmp_path, made_drive())

    def modulus(drive: Drive) -> int:
        assert drive.session_key is not None
        return drive.session_key.private.public_key().public_numbers().n

    today = load_drive(tmp_path, SERIAL, now_us())
    tomorrow = load_drive(tmp_path, SERIAL, now_us() + DAY_US)
    assert modulus(today) == modulus(made_drive()) != modulus(tomorrow)
    assert modulus(load_drive(tmp_path, SERIAL, now_us() + DAY_US)) == modulus(tomorrow)


def test_an_authority_comes_back_and_signs_drives_of_the_protocols_profile(tmp_path: Path) -> None:
    dump_authority(tmp_path, authority())
    loaded = load_authority(tmp_path)
    assert loaded.certificate == authority().certificate
    leaf = x509.load_der_x509_certificate(loaded.issue("A1", made_drive().signer.private, now_us()))
    leaf.verify_directly_issued_by(loaded.certificate)
    assert [item.value for item in leaf.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)] == ["A1"]
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_an_authority_is_never_made_over_another(tmp_path: Path) -> None:
    dump_authority(tmp_path, authority())
    with pytest.raises(FileExistsError):
        dump_authority(tmp_path, authority())


def test_nobody_else_reads_the_folder(tmp_path: Path) -> None:
    dump_authority(tmp_path / "new", authority())
    dump_drive(tmp_path / "new", made_drive())
    for path in (tmp_path / "new").rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_drives_are_listed_and_a_missing_one_is_named(tmp_path: Path) -> None:
    assert list_drives(tmp_path) == []
    dump_drive(tmp_path, made_drive())
    assert list_drives(tmp_path) == [SERIAL]
    with pytest.raises(KeyError, match="X1"):
        load_drive(tmp_path, "X1", now_us())
