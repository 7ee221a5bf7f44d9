"""`qekm top`: what the key manager does, live, in a terminal of any width."""

from qekm_cli.top.command import app

__all__ = ["app"]
