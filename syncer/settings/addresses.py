"""Where a message may go: an address of the internet, one inside one's own network, or one that no receiver has."""

from __future__ import annotations

import ipaddress
import socket
from typing import Literal

Standing = Literal["public", "private", "never"]
"""public: anybody's · private: this machine's or the local network's, where who may write the settings shall not reach
by them unless they say so · never: link-local, multicast, and where clouds tell their machines secrets."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What hands out a machine's credentials and stands outside the link-local ranges: Azure's, Oracle's, Alibaba's, AWS's.
_METADATA = tuple(
    ipaddress.ip_address(each) for each in ("168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254")
)
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")  # Python calls it global
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
PRIVATE_HELP = "if that is meant, write private_addresses: true beside it"


def standing(address: str) -> Standing:
    """Of an IP address as text; ValueError where it is none."""
    asked = _within(ipaddress.ip_address(address))
    if asked.is_loopback:
        return "private"
    if asked in _METADATA or asked.is_link_local or asked.is_multicast or asked.is_unspecified or asked.is_reserved:
        return "never"
    return "public" if asked.is_global and asked not in _SITE_LOCAL else "private"


def standing_as_written(host: str) -> Standing:
    """Of a host as it stands in a URL. A name may be anything, which its connection will show: public here."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "private"
    try:
        return standing(name if ":" in name else socket.inet_ntoa(socket.inet_aton(name)))  # 127.1, 0x7f000001
    except (ValueError, OSError):
        return "public"


def refusal_of(address: str, found: Standing, private: bool) -> tuple[str, str] | None:
    """(why nothing is sent there, what to do); None where it may be. `private`: whether that was allowed."""
    if found == "never":
        return f"{address} is an address to which nothing is sent: link-local, multicast or a cloud's own", ""
    if found == "private" and not private:
        return f"{address} is an address of this machine or of the local network", PRIVATE_HELP
    return None


def _within(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
