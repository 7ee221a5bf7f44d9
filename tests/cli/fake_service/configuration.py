"""The fake of the configuration service: properties that change at once, at a restart, or not from afar."""

from __future__ import annotations

from typing import Any

from qekm.errors import NotFromAfar, UnknownProperty
from qekm.v1 import configuration_pb2 as pb

# Name: value, default, dynamic, source.
TABLE = {
    "TransportListener.tcp.port": ("3801", "3801", True, "default"),
    "backup.command": ("", "", False, "default"),
    "debug": ("none", "none", True, "default"),
    "drive.acceptUnknownDrives": ("pending", "true", True, "file"),
    "drive.optionalEncryption": ("clear", "create", True, "environment"),
    "grpc.port": ("3802", "3802", False, "default"),
}
LOCAL = ("backup.command",)


class FakeConfiguration:
    """Properties, and what was asked to change."""

    def __init__(self) -> None:
        self.properties = {
            name: pb.Property(
                name=name,
                value=value,
                default_value=default,
                origin=pb.ORIGIN_ORIGINAL,
                dynamic=dynamic,
                source=source,
            )
            for name, (value, default, dynamic, source) in TABLE.items()
        }
        self.updates: list[pb.UpdatePropertiesRequest] = []
        self.refreshed: pb.RefreshConfigurationResponse | None = None
        self.notes: list[str] = []

    def ListProperties(self, request: Any) -> Any:
        """Answer all, or those that are named."""
        self._check(request.names)
        names = request.names or self.properties
        return pb.ListPropertiesResponse(properties=[self.properties[name] for name in names])

    def UpdateProperties(self, request: Any) -> Any:
        """Change what is named, all or none."""
        self._check([*request.set, *request.unset])
        for name in (*request.set, *request.unset):
            if name in LOCAL:
                raise NotFromAfar(f"{name} is changed on the service's own machine only", property=name)
        self.updates.append(request)
        at_restart = []
        for name in (*request.set, *request.unset):
            row = self.properties[name]
            value = dict(request.set).get(name, row.default_value)
            if row.dynamic and row.source != "environment":
                row.value, row.source = value, "file" if name in request.set else "default"
            elif not row.dynamic:
                row.pending_value = value
                at_restart.append(name)
        return pb.UpdatePropertiesResponse(at_restart=at_restart, notes=self.notes)

    def RefreshConfiguration(self, request: Any) -> Any:
        """Tell what was planned."""
        return self.refreshed or pb.RefreshConfigurationResponse()

    def _check(self, names: Any) -> None:
        for name in names:
            if name not in self.properties:
                raise UnknownProperty(f"there is no property {name}", property=name)
