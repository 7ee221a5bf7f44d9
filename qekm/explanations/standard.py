"""The standard's codes for encryption (T10), among them those that are sent beside ours."""

from __future__ import annotations

from qekm.explanations.conditions import (
    CARTRIDGE,
    LIBRARY,
    MESSAGE,
    NOTHING,
    READING,
    SERVICE,
    condition,
)

_SECURITY = (LIBRARY, "Nothing of Q-EKM makes security associations; look at the host's software.")

STANDARD = (
    condition("7400", (7,), "Security error", "The drive names no cause.", READING),
    condition(
        "7401", (7,), "Unable to decrypt", "The data cannot be decrypted with the key that is set.", READING
    ),
    condition(
        "7402",
        (7,),
        "Clear data while decrypting",
        "The drive decrypts, and the data is not encrypted.",
        (CARTRIDGE, LIBRARY),
    ),
    condition(
        "7403",
        (7,),
        "Incorrect key",
        "The cartridge was written with another key than the one set.",
        READING,
    ),
    condition(
        "7404",
        (7,),
        "Integrity check failed",
        "The data was changed, or was written with another key.",
        READING,
    ),
    condition("7405", (7,), "Error while decrypting", "Decryption broke off.", READING),
    condition(
        "7406",
        (5,),
        "Unknown signature verification key",
        "A signature's key is unknown to the drive.",
        MESSAGE,
    ),
    condition(
        "7407", (5,), "Encryption parameters not usable", "What was set cannot be used for this.", MESSAGE
    ),
    condition("7408", (5,), "Digital signature validation failure", "A signature is wrong.", MESSAGE),
    condition(
        "7409",
        (7,),
        "Encryption mode mismatch on reading",
        "The data is of another mode than the one set.",
        READING,
    ),
    condition(
        "740A",
        (7,),
        "Encrypted block not raw read enabled",
        "The data may not be read without decryption.",
        (LIBRARY,),
    ),
    condition("740B", (5,), "Incorrect encryption parameters", "What was set contradicts itself.", MESSAGE),
    condition(
        "740C",
        (5,),
        "Unable to decrypt the parameter list",
        "The drive could not unwrap the key it was sent.",
        MESSAGE,
        "Reported after a key was sent: the key is put aside until the same mount asks again.",
    ),
    condition(
        "740D", (5,), "Encryption algorithm disabled", "The drive may not use this algorithm.", (LIBRARY,)
    ),
    condition(
        "7410", (5,), "Security association: invalid parameter", "A host asked for one wrongly.", _SECURITY
    ),
    condition("7411", (5,), "Security association: parameter rejected", "The drive refused one.", _SECURITY),
    condition("7412", (5,), "Security association: invalid usage", "A host used one wrongly.", _SECURITY),
    condition(
        "7421",
        (5, 7),
        "Encryption configuration prevented",
        "Something else decides about encryption.",
        (LIBRARY,),
    ),
    condition("7430", (5,), "Security association: not supported", "The drive does not have it.", _SECURITY),
    condition(
        "7440", (5, 11), "Authentication failed", "Drive and host could not prove who they are.", MESSAGE
    ),
    condition("7461", (7,), "Key manager access error", "The key manager could not be reached.", SERVICE),
    condition(
        "7462",
        (7,),
        "Key manager error",
        "The key manager failed.",
        SERVICE,
        "Sent beside EE0F: `qekm errors explain EE0F`.",
    ),
    condition(
        "7463",
        (7,),
        "Key not found",
        "The key manager has no such key.",
        READING,
        "Sent beside EE31 and EE34: `qekm errors explain EE31`, `qekm errors explain EE34`.",
    ),
    condition(
        "7464",
        (7,),
        "Request not authorized",
        "The key manager does not serve this drive.",
        MESSAGE,
        "Sent beside EE25, EE29, EE2B, EE2E and EF01: the trail has the one that it was.",
    ),
    condition(
        "746E",
        (7,),
        "Key manager timeout",
        "The key manager did not answer in time.",
        SERVICE,
        "Goes with EE0E, which is never sent: `qekm errors explain EE0E`.",
    ),
    condition(
        "746F",
        (7,),
        "Key manager protocol error",
        "The key manager did not accept a message.",
        MESSAGE,
        "Sent beside EE02, EE23, EE2C, EE2D and EEE1: the trail has the one that it was.",
    ),
    condition(
        "2610",
        (7,),
        "Too many wrong keys",
        "The drive takes no more keys after too many wrong ones.",
        ("Unload the cartridge, or start the drive again: that ends it.", *READING),
    ),
    condition(
        "2611", (5,), "Incomplete set of key-associated data", "A key came without its whole name.", MESSAGE
    ),
    condition("2612", (5,), "Key reference not found", "The drive holds no key of this name.", MESSAGE),
    condition(
        "2A11",
        (6,),
        "Encryption parameters changed by another host",
        "Another host set the key.",
        (LIBRARY,),
    ),
    condition(
        "2A12",
        (6,),
        "Encryption parameters changed by the drive",
        "The drive or its library set the key.",
        (NOTHING,),
    ),
    condition(
        "2A13",
        (7,),
        "Key instance counter changed",
        "The key was replaced since it was last looked at.",
        (NOTHING,),
    ),
)
