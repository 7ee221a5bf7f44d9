"""Where a client's frames come from, as it is counted and told: an address of IPv4, a network of IPv6.

Whoever has one address of IPv6 has the 2**64 of its network, so that counting them apart would bound nothing.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

OTHERS = "others"  # what a gateway calls the sources that it no longer tells apart
UNKNOWN = "unknown"
_NETWORK = "/64"


@lru_cache(4_096)
def network_of(host: str) -> str:
    """Return the IPv4 address, or the IPv6 network like 2001:db8::/64, that an address or network is of.

    OTHERS stays; anything else is UNKNOWN: who writes it is not always to be believed, and it may look like
    somebody's name.
    """
    if host == OTHERS:
        return OTHERS
    try:
        address = ip_address(host.removesuffix(_NETWORK))
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return f"{IPv6Address(int(address) >> 64 << 64)}{_NETWORK}"
        address = address.ipv4_mapped
    return str(address)


def host_of(source: str) -> str:
    """Return the network of a client's host:port, [host]:port for IPv6; UNKNOWN for anything else."""
    host, _, port = source.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return UNKNOWN
    return network_of(host) if port.isascii() and port.isdigit() and host != OTHERS else UNKNOWN
