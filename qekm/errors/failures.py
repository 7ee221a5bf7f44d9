"""The leaves of the error tree for what the service cannot give, or not now. Standard library only."""

from qekm.errors.kinds import ExhaustedError, FaultError, UnavailableError


class PoolEmpty(ExhaustedError):
    """No key is left to give out and the group's policy forbids reuse; details: group."""

    hint = "make keys with: qekm keys generate"


class TooMany(ExhaustedError):
    """A rate or size limit; details: limit."""


class ServiceAway(UnavailableError):
    """The service does not answer, or does not accept our certificate."""


class Draining(UnavailableError):
    """The service is stopping."""


class GatewayAway(UnavailableError):
    """No gateway is connected."""

    hint = "start it with: qekm server start"


class PeerAway(UnavailableError):
    """No other server has confirmed in time, and peers.strict asks for that; details: peer."""

    hint = "see: qekm peers status"


class TokenAway(UnavailableError):
    """The PKCS#11 token does not answer; a wrong PIN is a bad configuration; details: token."""


class StoreFailed(FaultError):
    """A write to the store failed; the service stops and recovers from what is on disk."""


class FileFailed(FaultError):
    """A file could not be written: what was there is there still; details: file."""


class StoreDamaged(FaultError):
    """A stored row does not verify."""


class BackupFailed(FaultError):
    """A backup could not be made, copied away or proved; details: backup."""


class BackupDamaged(FaultError):
    """A backup that does not prove: cut off, altered, or of another estate; details: backup."""


class Incident(FaultError):
    """Anything unforeseen; details: incident, the number under which the service logged it."""
