"""How long browsers will keep our cookies behind a host name.

Safari's Intelligent Tracking Prevention (webkit.org/tracking-prevention) keeps what scripts set for 7 days, and what a
server sets for 7 days as well where its host is a CNAME into another site, or its address is not of the site's own
network (the first 16 bits of IPv4, 64 of IPv6, are compared with the site's). In another site's page no cookie of ours
is a first-party one: Safari keeps none, Firefox one for each site, Chrome those that say SameSite=None; Secure.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

CAPPED_DAYS = 7
DAYS = 30
SAME_V4, SAME_V6 = 16, 64
# Second levels that registries sell names below; of the rest of the list we know nothing.
REGISTRY_LEVELS = ("ac", "co", "com", "edu", "gov", "net", "ne", "or", "org")

T = TypeVar("T")
Addresses = list[str]
Resolve = Callable[[str], tuple[str, Addresses]]
"""A host's canonical name and its addresses; OSError where it has none."""
MakeCheck = Callable[[str, str, bool], T]


def resolve(host: str) -> tuple[str, Addresses]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    return found[0][3] or host, sorted({str(one[4][0]) for one in found})


def site(host: str) -> str:
    """The registrable domain, as far as it can be told without the public suffix list."""
    labels = host.rstrip(".").lower().split(".")
    levels = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in REGISTRY_LEVELS else 2
    return ".".join(labels[-levels:])


def cookie_checks(public_url: str, shops: list[str], resolve: Resolve, check: MakeCheck[T]) -> Iterator[T]:
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        yield check("cookies", f"{public_url!r} is no http or https URL; give --public-url", True)
        return
    if is_own(host):
        yield check("cookies", f"{host} is this machine: browsers elsewhere reach it under another name", False)
        return
    if parts.scheme == "http":
        text = "are sent in clear and cannot be Secure; browsers warn of such pages: put TLS before it"
        yield check("cookies", text, True)
    yield from _lifetime(host, resolve, check)
    for shop in shops:
        other = (urlsplit(shop).hostname or shop).lower()
        if site(other) != site(host):
            text = (
                f"on {other} are third-party: Safari keeps none; conversions there rely on click_id, cust or coupon, "
                f"or on an edge under a name of {site(other)}"
            )
            yield check("cookies", text, True)
        else:
            yield check("cookies", f"on {other} are of the same site", False)


def is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _lifetime(host: str, resolve: Resolve, check: MakeCheck[T]) -> Iterator[T]:
    try:
        canonical, own = resolve(host)
    except OSError as error:
        yield check("cookies", f"{host} has no address: {error.strerror or error}", True)
        return
    if site(canonical) != site(host):
        text = f"{host} is a CNAME into {site(canonical)}: Safari keeps cookies {CAPPED_DAYS} days; give it addresses"
        yield check("cookies", text, True)
        return
    try:
        _, sites = resolve(site(host))
    except OSError:
        sites = own  # a site without an address of its own is not compared
    if not any(_near(one, other) for one in own for other in sites):
        text = (
            f"{host} is on another network ({own[0]}) than {site(host)} ({sites[0]}): Safari keeps cookies "
            f"{CAPPED_DAYS} days; serve both from one network, or both through one proxy"
        )
        yield check("cookies", text, True)
        return
    yield check(
        "cookies", f"of the server last up to {DAYS} days, in Safari too; what t.js keeps, {CAPPED_DAYS} days", False
    )


def _near(one: str, other: str) -> bool:
    first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    if first.version != second.version:
        return False
    bits = SAME_V4 if first.version == 4 else SAME_V6
    return second in ipaddress.ip_network(f"{one}/{bits}", strict=False)
