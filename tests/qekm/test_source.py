"""What a client is counted by."""

from __future__ import annotations

import pytest

from qekm.source import host_of, network_of


@pytest.mark.parametrize(
    ("source", "host"),
    [
        ("10.0.0.1:4000", "10.0.0.1"),
        ("[::ffff:10.0.0.1]:4000", "10.0.0.1"),
        ("[2001:db8:1:2:3:4:5:6]:4000", "2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:1", "fe80::/64"),
        ("[fe80::1%administrator/alice]:1", "unknown"),
        ("[::1]:4000", "::/64"),
        ("10.0.0.1", "unknown"),
        ("10.0.0.1:", "unknown"),
        ("10.0.0.1:x", "unknown"),
        ("2001:db8::1:4000", "unknown"),
        ("library:1", "unknown"),
        ("others:1", "unknown"),
        ("administrator/alice", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_source_is_its_address_or_its_network(source: str, host: str) -> None:
    assert host_of(source) == host


@pytest.mark.parametrize("host", ["10.0.0.1", "2001:db8::/64", "others", "unknown"])
def test_what_was_counted_by_is_counted_by_again(host: str) -> None:
    assert network_of(host) == host
