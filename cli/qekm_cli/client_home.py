"""A home without a store, from which a person administers a key manager on another machine.

It holds a key pair, whom to trust, and ClientKeyManagerConfig.properties, and is handed over as it is.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qekm.home import Home
from qekm.properties.listeners import SSL_PORT
from qekm_cli.render import pages

if TYPE_CHECKING:
    from qekm.client import Client

PEOPLE = ("administrator", "operator", "auditor", "custodian")


@dataclass(frozen=True, slots=True)
class ClientHome:
    """Where it is made, and where the key manager is found from another machine."""

    directory: Path
    host: str

    @classmethod
    def prepare(cls, directory: Path, role: str, reach: str, home: Home) -> ClientHome:
        """Make the directories; BadParameter, OSError.

        reach: where the key manager is found; else the first name in the certificate of the service of `home`
        that is not of its own machine alone.
        """
        if role not in PEOPLE:
            raise typer.BadParameter(f"--client-home is for people, not for a {role}")
        if Home(directory).store.exists():
            raise typer.BadParameter(f"{directory} is the home of a key manager; name another directory")
        host = reach or _told_to_others(home)
        if not host:
            raise typer.BadParameter("say how other machines reach this key manager: --reach HOST")
        made = cls(directory, host)
        made.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
        return made

    @property
    def pki(self) -> Path:
        """Directory of the key pair."""
        return Home(self.directory).pki

    def complete(self, client: Client, role: str, name: str) -> list[str]:
        """Write where the key manager is and whose certificate is shown; returns what is left to be done."""
        from qekm.configuration.remote import Remote, write_remote

        remote = Remote(self.host, _ssl_port(client), name)
        write_remote(Home(self.directory).client_config, remote)
        lines = [f"it talks to {remote.target}: hand it over, and on the other machine name it in QEKM_HOME"]
        if not _has_password(client, role, name):
            lines.append(
                f"from another machine a password is needed, too: qekm accounts add {name} --role {role}"
            )
        return lines


def _ssl_port(client: Client) -> int:
    """Return the port of remote administration: where the service listens, else where it is to listen."""
    from qekm.v1 import configuration_pb2, server_pb2

    if port := client.server.GetStatus(server_pb2.GetStatusRequest()).ssl_port:
        return port
    request = configuration_pb2.ListPropertiesRequest(names=[SSL_PORT])
    return int(client.configuration.ListProperties(request).properties[0].value)


def _has_password(client: Client, role: str, name: str) -> bool:
    from qekm.v1 import accounts_pb2 as pb
    from qekm.v1.certificates_pb2 import Role

    who = (Role.Value(f"ROLE_{role.upper()}"), name)
    found = pages(client.accounts.ListAccounts, pb.ListAccountsRequest(), "accounts")
    return any((each.role, each.name) == who for each in found)


def _told_to_others(home: Home) -> str:
    """Return the first name or address in the service's certificate by which others know it, if any."""
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificate(home.certificate("server").read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return ""
    found = [str(each.value) for each in names if isinstance(each, x509.DNSName | x509.IPAddress)]
    return next((each for each in found if not _is_local(each)), "")


def _is_local(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
