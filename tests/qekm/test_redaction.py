"""No message shows what a person must not see, however it is printed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

import qekm.v1
from qekm.redaction import holds_secret
from qekm.v1 import accounts_pb2, backups_pb2, keystore_pb2, sharing_pb2, slots_pb2

MODULES = sorted(path.stem for path in Path(qekm.v1.__path__[0]).glob("*_pb2.py"))
CANARY = b"canary-7f3a91c2"
PROOF = slots_pb2.Proof(password=CANARY)
SECRET = [
    PROOF,
    slots_pb2.Shares(mnemonics=[CANARY.decode()]),
    slots_pb2.CreateSlotRequest(proof=PROOF, password=CANARY),
    slots_pb2.CreateSlotResponse(mnemonics=[CANARY.decode()]),
    slots_pb2.UpdatePasswordRequest(password=CANARY),
    keystore_pb2.UnlockKeystoreRequest(proof=PROOF),
    keystore_pb2.RotateKeystoreRequest(proof=PROOF),
    backups_pb2.DrillBackupRequest(proof=PROOF),
    sharing_pb2.ClearKey(material=CANARY),
    sharing_pb2.ExportKeysResponse(keys=[sharing_pb2.ClearKey(material=CANARY)]),
    sharing_pb2.ImportKeysRequest(keys=[sharing_pb2.ClearKey(material=CANARY)]),
    accounts_pb2.LoginRequest(password=CANARY),
    accounts_pb2.LoginResponse(session=CANARY),
    accounts_pb2.CreateAccountRequest(password=CANARY),
    accounts_pb2.UpdateOwnPasswordRequest(old_password=CANARY, new_password=CANARY),
    accounts_pb2.ResetPasswordRequest(password=CANARY),
]


@pytest.mark.parametrize("message", SECRET, ids=lambda message: type(message).__name__)
def test_a_message_that_holds_a_secret_prints_its_name_only(message: Message) -> None:
    for shown in (repr(message), str(message), f"{message}", "%s %r" % (message, message)):  # noqa: UP031
        assert CANARY.decode() not in shown
        assert type(message).__name__ in shown


def test_a_message_without_one_prints_as_ever() -> None:
    assert "primary" in repr(slots_pb2.ListSlotsResponse(slots=[slots_pb2.Slot(name="primary")]))


@pytest.mark.parametrize("module", MODULES)
def test_every_class_that_can_hold_a_secret_is_told(module: str) -> None:
    found: dict[str, Any] = vars(importlib.import_module(f"qekm.v1.{module}"))
    for value in found.values():
        descriptor = getattr(value, "DESCRIPTOR", None)
        if isinstance(value, type) and issubclass(value, Message) and holds_secret(descriptor):
            assert repr(value()) == f"{value.__name__}(…)"


def test_every_field_whose_name_says_secret_is_marked() -> None:
    names = {"password", "old_password", "new_password", "session"}
    names |= {"key_file", "pin", "material", "mnemonics", "shares"}
    for module in MODULES:
        file = importlib.import_module(f"qekm.v1.{module}").DESCRIPTOR
        for message in file.message_types_by_name.values():
            for field in message.fields:
                if field.name in names and field.message_type is None:
                    assert field.GetOptions().debug_redact, field.full_name
