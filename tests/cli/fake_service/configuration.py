"""The configuration service: the real one over a file of its own, asked without a wire."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qekm.api.configuration import ConfigurationServicer
from qekm.audit import SERVICE, occurred
from qekm.configuration.owner import Configuration
from qekm.configuration.parts import Applied
from qekm.configuration.settings import Settings
from qekm.model import Change
from qekm.v1 import configuration_pb2 as pb

FILE = "drive.acceptUnknownDrives=pending\n"
ENVIRON = {"QEKM_PROPERTY_drive_creationsPerHour": "60"}


class _Journal:
    """Records for nobody."""

    def record(self, method: str, message: str) -> Change:
        """Return a record."""
        return occurred(0, f"rpc.{method}", SERVICE, message=message)


class FakeConfiguration:
    """Answers as the service does, and keeps what it was asked to change and did."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="qekm-")
        self.file = Path(self._directory.name) / "KeyManagerConfig.properties"
        self.file.write_text(FILE)
        configuration = Configuration(self.file, Settings.load(self.file, ENVIRON), environ=ENVIRON)
        configuration.on_change(configuration.settings.table, self._apply)
        self._servicer = ConfigurationServicer(configuration, _Journal())  # type: ignore[arg-type]
        self.updates: list[pb.UpdatePropertiesRequest] = []
        self.notes: Sequence[str] = ()

    def add(self, line: str) -> None:
        """Edit the file by hand."""
        with self.file.open("a") as file:
            file.write(f"{line}\n")

    def ListProperties(self, request: Any) -> Any:
        """Answer all, or those that are named."""
        return asyncio.run(self._servicer.ListProperties(request, None))

    def UpdateProperties(self, request: Any) -> Any:
        """Change what is named, all or none."""
        response = asyncio.run(self._servicer.UpdateProperties(request, None))
        self.updates.append(request)
        return response

    def RefreshConfiguration(self, request: Any) -> Any:
        """Read the file again."""
        return asyncio.run(self._servicer.RefreshConfiguration(request, None))

    async def _apply(self, _coming: Settings) -> Applied:
        return Applied(notes=tuple(self.notes))
