"""Imports whatever the programs import, for the process that they are forked from (forking.py)."""

from __future__ import annotations

import importlib
import pkgutil

import qekm.rpc  # (TLS 1.3 only, before grpc)

# isort: split
import uvloop  # noqa: F401

import qekm
import qekm_cli
import qekm_gateway
from qekm.store import schema

for _package in (qekm, qekm_gateway, qekm_cli):
    for _module in pkgutil.walk_packages(_package.__path__, _package.__name__ + "."):
        if "migrations" not in _module.name:  # Alembic runs these
            importlib.import_module(_module.name)
schema._made(schema.PRESENT)  # takes 0.1 s
