"""The dashboard: what its panels ask, as Grafana would ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "qekm.json"
# What Grafana puts in for variables when all is chosen, and a window of a few scrapes.
_VARIABLES = {"$instance": ".*", "$gateway": ".*", "$__rate_interval": "30s"}


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Yield each panel's title with each of its queries, variables put in."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in _VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression
