"""`qekm report`: what happened in a span of time, as a document that an auditor can file."""

from qekm_cli.report.command import app

__all__ = ["app"]
