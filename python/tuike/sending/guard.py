"""Where nothing is sent to: addresses that are not the internet's, whatever name leads there (SSRF).

The address that was looked at is the one that is connected to: a name is resolved once."""

import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

# All that IANA gives out of IPv6. Site-local addresses, NAT64's (RFC 6052) and IPv4-compatible ones are outside of it.
GLOBAL = ipaddress.ip_network("2000::/3")
# What carries an IPv4 address to wherever it says: 6to4 and Teredo.
CARRIERS = tuple(ipaddress.ip_network(net) for net in ("2002::/16", "2001::/32"))


class Forbidden(OSError):
    """An address that nothing is sent to."""


def is_public(address: str) -> bool:
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    elsewhere = ip.version == 6 and (ip not in GLOBAL or any(ip in net for net in CARRIERS))
    return bool(ip.is_global and not ip.is_multicast and not elsewhere)


def why_not(url: str) -> str:
    """Why nothing may be sent to a URL, as far as it says itself; empty: it may.

    It is read as aiohttp will read it: what another reader takes for a name (`127.0.0。1`) may be an address there, and
    an address is not resolved."""
    try:
        parts = URL(url)
    except ValueError as error:
        return f"it cannot be read ({error})"
    host = parts.raw_host or ""
    if parts.scheme != "https":
        return "only to https"
    try:
        literal = is_public(host)
    except ValueError:
        # what some readers take for an address: a single number, or one with hexadecimal or short parts
        last = host.rstrip(".").rpartition(".")[2].lower()
        if last.isdecimal() or last.startswith("0x"):
            return f"not to {host}, which is no name"
        return f"not to {host}" if last in ("localhost", "local", "internal") or "." not in host else ""
    return "" if literal else f"not to {host}, which is no public address"


class PublicResolver(AbstractResolver):
    """Names that lead to one address that is not public lead nowhere."""

    def __init__(self) -> None:
        self._names = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        for one in found:
            if not is_public(one["host"]):
                raise Forbidden(None, f"{host} is at {one['host']}, which is no public address")
        return found

    async def close(self) -> None:
        await self._names.close()
