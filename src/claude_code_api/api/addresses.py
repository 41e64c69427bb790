"""Which addresses the server may connect to on a client's behalf. Pure."""

from __future__ import annotations

import ipaddress

_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
        "168.63.129.16/32",  # Azure's virtual machines find their host there
    )
)
"""Public by its number, and still not a place on the internet: relays, tunnels, documentation, a cloud's insides."""

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1", "fc00::/7")
)
_METADATA = (ipaddress.ip_address("100.100.100.200"), ipaddress.ip_address("fd00:ec2::254"))


def may_connect(address: str, *, private: bool) -> bool:
    """Whether an address is on the public internet; with `private`, also loopback, private and shared addresses.

    Link-local addresses, where clouds keep their credentials, and addresses that carry another one inside
    (IPv4-mapped, NAT64, 6to4, Teredo) are never allowed.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if private and ip not in _METADATA and any(ip in network for network in _PRIVATE):
        return True
    if not ip.is_global or ip.is_multicast or any(ip in network for network in _SPECIAL):
        return False
    return ip.version == 4 or ip in _GLOBAL_V6
