"""The original's answers, to the letter: scripts read them."""

from __future__ import annotations

from collections.abc import Iterable

STOPPED = "EKM server cannot be reached. It appears to be stopped."
SHUT_DOWN = "EKMServer: shut down complete."


def running(tcp_ports: Iterable[int], ssl_port: int) -> str:
    """Return the line of a server that runs; a port on which nothing listens is none."""
    tcp = next(iter(tcp_ports), 0)
    return f"Server is running. TCP port: {tcp or 'none'}, SSL port: {ssl_port or 'none'}"


def version(number: str) -> str:
    """Return the line of a version."""
    return f"Quantum EKM Server Version: {number}"


def drives(serials: Iterable[str]) -> list[str]:
    """Return the lines of a drive table."""
    lines = [f"SerialNumber = {serial}" for serial in serials]
    return [f"Drive entries: {len(lines)}", *lines]
