"""Who exchanges keys in these tests: ours sends, theirs receives, a third would like to have them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from cryptography import x509

from qekm.errors import BadCertificate
from qekm.interchange import cms
from qekm.interchange.parcel import SharedKey
from tests.qekm.interchange.organisation import ESTATE, NOW_US, Identity, make_keys, root, rsa_key

OURS, THEIRS = root("Ours"), root("Theirs")
ELLIPTIC = OURS.issue("Exporting")
RSA = OURS.issue("Exporting with RSA", rsa_key("sender"))
RECIPIENT = THEIRS.issue("Importing", rsa_key("recipient"), uses=["key_encipherment"])
THIRD = THEIRS.issue("Third", rsa_key("third"), uses=["key_encipherment"])
KEYS = make_keys(3)


def seal(
    sender: Identity = ELLIPTIC, recipient: Identity = RECIPIENT, keys: Iterable[SharedKey] = KEYS
) -> bytes:
    """Return an export."""
    return cms.seal(keys, recipient.certificate, sender.sender, ESTATE, NOW_US, os.urandom)


def trust(*senders: Identity) -> cms.CheckSender:
    """Return a check that accepts just these senders."""

    def check_sender(chain: tuple[x509.Certificate, ...]) -> None:
        if chain[0] not in [sender.certificate for sender in senders]:
            raise BadCertificate("the sender is not trusted")

    return check_sender
