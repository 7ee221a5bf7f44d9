"""Leaves of the error tree: what was asked is not well formed. Standard library only."""

from qekm.errors.kinds import (
    InvalidError,
)


class BadArgument(InvalidError):
    """A field or option has a value that it cannot have; details: field."""


class BadPageToken(InvalidError):
    """A page token that this service did not make."""

    hint = "start again without a page token"


class BadConfiguration(InvalidError):
    """A property or configuration file that cannot be used; details: property, line."""


class BadPassword(InvalidError):
    """A password that opens nothing or may not be set."""


class BadCertificate(InvalidError):
    """A certificate, request or chain that cannot be accepted."""


class BadFile(InvalidError):
    """A file that is not what it should be: of another kind, cut off, altered, hostile; details: file."""


class BadShares(InvalidError):
    """Recovery shares that do not belong together, are too few, or were mistyped; details: share."""
