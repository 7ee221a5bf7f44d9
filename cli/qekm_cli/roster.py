"""A CSV file of drives (qekm.interchange.roster), as commands of the CLI import it."""

from qekm.interchange.roster import Entry, check, normal_serial, parse, parse_wwnn, refuse

__all__ = ["Entry", "check", "normal_serial", "parse", "parse_wwnn", "refuse"]
