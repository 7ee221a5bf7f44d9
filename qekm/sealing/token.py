"""The token's slot: a key that never leaves a PKCS#11 token (an HSM); unattended start.

slot key = HMAC-SHA256 (the token's key) over "QEKM SLOT 1 pkcs11" and the slot's salt

Computed in the token with C_Sign (PKCS#11 2.40, CKM_SHA256_HMAC). To wrap the root key in the token, it would
have to be an object there first, and an object with a readable value after it was unwrapped: tokens in a
strict mode refuse both, and the key would be one that may unwrap. A key that may sign and nothing else is
enough, and the slot is like all others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from qekm.errors import BadConfiguration, QekmError, TokenAway
from qekm.sealing.slot import NO_COST, ROOT_LENGTH, Cost, RandomBytes, read_slot, write_slot
from qekm.secret import Secret

# pkcs11 is imported where it is used: most key managers have no token.
if TYPE_CHECKING:
    from pkcs11 import Object, Session, Token, TokenFlag
    from pkcs11._pkcs11 import lib

_INFO = b"QEKM SLOT 1 pkcs11"

# A login is the whole process's, and a module may be written for one thread: one session at a time.
_turn = Lock()


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Where the key is: the path of the PKCS#11 module, the label of the token, the label of the key."""

    module: str
    token: str = "qekm"  # noqa: S105
    key: str = "qekm-root"


class TokenSealer:
    """A key of a PKCS#11 token, which the PIN lets one use."""

    kind = "pkcs11"

    def __init__(self, place: TokenKey, pin: Secret, *, random_bytes: RandomBytes = os.urandom) -> None:
        """Name the key, which is used when a slot is; BadConfiguration without a module or a PIN.

        pin: UTF-8 text, from a file or a credential, never from an argument or the environment.
        """
        if not place.module:
            hint = "name the token's PKCS#11 library in keystore.pkcs11.module"
            raise BadConfiguration("no PKCS#11 module is named", hint=hint)
        self._place = place
        self._pin = _checked(pin)
        self._random_bytes = random_bytes

    def create(self) -> None:
        """Make the key in the token; BadConfiguration if it has one of this label; TokenAway."""
        from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag

        place = self._place
        with self._session(write=True) as session:
            if _keys(session, place.key):
                raise BadConfiguration(f"the token {place.token} has a key {place.key} already")
            session.generate_key(
                KeyType.GENERIC_SECRET,
                8 * ROOT_LENGTH,
                label=place.key,
                store=True,
                capabilities=MechanismFlag.SIGN,
                mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
                template={Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )

    def seal(self, root: Secret) -> bytes:
        """Return a slot that this key opens; BadConfiguration, TokenAway."""
        return write_slot(self.kind, NO_COST, root, self._derive, self._random_bytes)

    def unseal(self, slot: bytes) -> Secret:
        """Return the root key; BadPassword; StoreDamaged before the token is asked; and as `seal`."""
        opener = f"key {self._place.key} of the token {self._place.token}"
        return read_slot(self.kind, slot, self._derive, opener)

    def _derive(self, salt: bytes, _: Cost) -> bytes:
        from pkcs11 import Mechanism, SignMixin

        place = self._place
        with self._session() as session:
            keys = [key for key in _keys(session, place.key) if isinstance(key, SignMixin)]
            if not keys:
                hint = "its label is keystore.pkcs11.key"
                what = f"the token {place.token} has no key {place.key}"
                raise TokenAway(what, hint=hint, token=place.token)
            if len(keys) > 1:
                raise BadConfiguration(f"the token {place.token} has {len(keys)} keys {place.key}")
            return bytes(keys[0].sign(_INFO + salt, mechanism=Mechanism.SHA256_HMAC))

    @contextmanager
    def _session(self, *, write: bool = False) -> Iterator[Session]:
        """Open a session for one act, and turn its errors into ours."""
        from pkcs11 import PKCS11Error

        place = self._place
        with _turn:
            try:
                with _loaded(place.module) as module:
                    token = module.get_token(token_label=place.token)
                    check_tries(place.token, token.flags)
                    with _opened(token, self._pin, write) as session:
                        yield session
            except PKCS11Error as error:
                raise _told(error, place.token) from None


def check_tries(token: str, flags: TokenFlag) -> None:
    """Raise BadConfiguration rather than use up a PIN's last try: a restart might lock the token."""
    from pkcs11 import TokenFlag

    if flags & (TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED):
        what = f"the token {token} is locked, or would be after one more wrong PIN"
        hint = "log in with the token's own tool, then put the same PIN into keystore.pkcs11.pinFile"
        raise BadConfiguration(what, hint=hint, token=token)


def _checked(pin: Secret) -> Secret:
    """Return the PIN; BadConfiguration before a token counts it as a wrong one."""
    hint = "see keystore.pkcs11.pinFile"
    try:
        text = pin.reveal().decode()
    except UnicodeDecodeError:
        raise BadConfiguration("a token's PIN is UTF-8 text", hint=hint) from None
    if not text:
        raise BadConfiguration("the token's PIN is empty", hint=hint)
    return pin


@contextmanager
def _loaded(path: str) -> Iterator[lib]:
    """Initialise the module and finalise it: no login, dead handle or state that a fork copies is left."""
    import pkcs11

    try:
        module = pkcs11.lib(path)
    except pkcs11.PKCS11Error:
        what = f"the PKCS#11 module {path} cannot be loaded or does not start"
        hint = "see keystore.pkcs11.module, and the module's own settings"
        raise BadConfiguration(what, hint=hint) from None
    try:
        yield module
    finally:
        module.finalize()


def _opened(token: Token, pin: Secret, write: bool) -> Session:
    return token.open(rw=write, user_pin=pin.reveal().decode())  # the library takes the PIN as str only


def _told(error: Exception, token: str) -> QekmError:
    """Return the error of our tree for one of a token's."""
    import pkcs11

    if isinstance(error, pkcs11.PinIncorrect | pkcs11.PinInvalid | pkcs11.PinLenRange):
        # No BadPassword: that is a slot of another key, after which the next slot would be tried. No
        # TokenAway: a service manager starts again what may only be late, and would use up the token's tries.
        hint = "see keystore.pkcs11.pinFile; a token locks itself after some wrong PINs"
        return BadConfiguration(f"the token {token} refuses the PIN", hint=hint, token=token)
    if isinstance(error, pkcs11.NoSuchToken):
        hint = "connect or start the token; its label is keystore.pkcs11.token"
        return TokenAway(f"there is no token {token}", hint=hint, token=token)
    if isinstance(error, pkcs11.MultipleTokensReturned):
        return BadConfiguration(f"there are several tokens {token}", hint="give each a label of its own")
    return TokenAway(f"the token {token} failed: {type(error).__name__}", token=token)


def _keys(session: Session, label: str) -> list[Object]:
    from pkcs11 import Attribute, ObjectClass

    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}))
