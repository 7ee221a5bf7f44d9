"""ConfigurationService: the properties over the wire."""

from __future__ import annotations

from typing import Any

from qekm.api.journal import Journal
from qekm.configuration.differences import joined
from qekm.configuration.owner import Changed, Configuration
from qekm.configuration.settings import FILE, Settings
from qekm.errors import BadArgument, NotFromAfar, UnknownProperty
from qekm.model import Change
from qekm.properties import PROPERTIES
from qekm.v1 import configuration_pb2 as pb
from qekm.v1.configuration_pb2_grpc import ConfigurationServiceServicer

_ORIGINS = {
    "original": pb.ORIGIN_ORIGINAL,
    "ours": pb.ORIGIN_OURS,
    "kept": pb.ORIGIN_KEPT,
}


class ConfigurationServicer(ConfigurationServiceServicer):
    """Thin: refuses what is changed on the service's own machine only; no password leaves, none is in it."""

    def __init__(self, configuration: Configuration, journal: Journal) -> None:
        """Take the owner of the properties."""
        self._configuration, self._journal = configuration, journal

    async def ListProperties(
        self, request: pb.ListPropertiesRequest, context: Any
    ) -> pb.ListPropertiesResponse:
        """List properties by name; UnknownProperty."""
        present, file = self._configuration.settings, await self._configuration.look()
        names = {_own(name, file) for name in request.names} or {*PROPERTIES, *file.unknown}
        return pb.ListPropertiesResponse(
            properties=(_to_proto(name, present, file) for name in sorted(names))
        )

    async def UpdateProperties(
        self, request: pb.UpdatePropertiesRequest, context: Any
    ) -> pb.UpdatePropertiesResponse:
        """Change properties, all or none; NotFromAfar, UnknownProperty, BadConfiguration, FileFailed, …"""
        if not (request.set or request.unset):
            raise BadArgument("no property is named", field="set")
        for name in (*request.set, *request.unset):
            item = PROPERTIES.find(name)
            if item is not None and item.local:
                raise NotFromAfar(f"{item.name} is not changed from afar", property=item.name)
        changed = await self._configuration.update(
            request.set, request.unset, lambda changed: [self._record("UpdateProperties", changed)]
        )
        return pb.UpdatePropertiesResponse(at_restart=changed.at_restart, notes=changed.notes)

    async def RefreshConfiguration(
        self, request: pb.RefreshConfigurationRequest, context: Any
    ) -> pb.RefreshConfigurationResponse:
        """Read the file again and put in force what needs no restart; BadConfiguration, …"""
        changed = await self._configuration.refresh(
            lambda changed: [self._record("RefreshConfiguration", changed)]
        )
        return pb.RefreshConfigurationResponse(
            changed=changed.names, at_restart=changed.at_restart, notes=changed.notes
        )

    def _record(self, method: str, changed: Changed) -> Change:
        return self._journal.record(method, joined(changed.told) or "nothing was changed")


def _own(name: str, file: Settings) -> str:
    """Return a property's own name; UnknownProperty."""
    item = PROPERTIES.find(name)
    if item is None and name not in file.unknown:
        raise UnknownProperty(f"there is no property {name[:200]}", property=name)
    return name if item is None else item.name


def _to_proto(name: str, present: Settings, file: Settings) -> pb.Property:
    item = PROPERTIES.find(name)
    if item is None:
        text = file.unknown[name]
        return pb.Property(name=name, value=text, origin=pb.ORIGIN_UNKNOWN, source=FILE, file_value=text)
    return pb.Property(
        name=name,
        value=present.text(name),
        default_value=item.default,
        unit=item.unit,
        help=item.help,
        origin=_ORIGINS[item.origin],
        dynamic=item.dynamic,
        source=present.source(name),
        pending_value=file.text(name) if file[name] != present[name] else None,
        file_value=file.in_file.get(name),
    )
