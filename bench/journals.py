"""A journal as an edge would have written it: clicks on promoters' links, and one order in a hundred events."""

import random
from collections.abc import Iterator
from typing import Any

from stencil import Stencil, id_mark, time_mark
from tuike import _core
from workload import CURRENCY, LINKS, MERCHANT, PRODUCTS, PROMOTERS

PER_SECOND = 5_000
"""How dense the events are: a busy edge, not a saturated one."""
ORDER_EVERY = 100
BOT_EVERY = 50
RETURNING = 0.4
LABELLED = 0.6
LABELS = 5
"""Labels (sub1) that a promoter uses on a link."""
POPULARITY = 3.0
"""Of 1,000 links the first hundred get about half the clicks."""
REMEMBERED = 65_536
"""Visitors that may come again, and clicks that an order may name."""


def orders(events: int) -> int:
    """How many of so many events are orders."""
    return events // ORDER_EVERY


def payloads(events: int, until: int) -> Iterator[bytes]:
    """So many events, the last one received just before `until` (ms)."""
    chance = random.Random(4)
    stencils = [[_click(number, label) for label in range(LABELS + 1)] for number in range(len(LINKS))]
    bots = [_click(number, 0, bot=True) for number in range(len(LINKS))]
    visitors = [chance.randbytes(16) for _ in range(REMEMBERED)]
    clicks: list[tuple[bytes, int]] = []
    for number in range(events):
        instant = until - (events - number) * 1000 // PER_SECOND
        at = instant.to_bytes(8)
        id = at[2:] + chance.randbytes(10)
        if number % ORDER_EVERY == ORDER_EVERY - 1:
            click, link = clicks[chance.randrange(len(clicks))]
            yield _order(id.hex(), instant, click.hex(), link, chance)
            continue
        link = int(len(LINKS) * chance.random() ** POPULARITY)
        prints = chance.randbytes(32)
        if number % BOT_EVERY == 0:
            yield bots[link].fill(id, at, at, prints[:16], prints[16:])
            continue
        place = int(REMEMBERED * chance.random())
        if chance.random() >= RETURNING:
            visitors[place] = chance.randbytes(16)
        label = 1 + number % LABELS if chance.random() < LABELLED else 0
        if len(clicks) < REMEMBERED:
            clicks.append((id, link))
        else:
            clicks[place] = (id, link)
        yield stencils[link][label].fill(id, at, at, visitors[place], prints[:16], prints[16:])


def _click(link: int, label: int, *, bot: bool = False) -> Stencil:
    """Its gaps: id, at, received, visitor (not of a bot), fingerprint, address."""
    (id, visitor, fingerprint, address), ids = zip(*map(id_mark, range(4)), strict=True)
    (at, received), times = zip(*map(time_mark, range(2)), strict=True)
    event: dict[str, Any] = {
        "kind": "click",
        "id": id,
        "at": at,
        "received": received,
        "registry": 1,
        "aff": PROMOTERS[link],
        "pid": PRODUCTS[link % len(PRODUCTS)],
        "merchant": MERCHANT,
        "link": LINKS[link],
        "channel": "web",
        "referrer": "https://video.example.com/",
        "fingerprint": fingerprint,
        "address": address,
        "prefix": "198.51.100.0/24",
        "agent": 0x5DEECE66D + link,
        "extra": "utm_source=video",
    }
    if label:
        event["sub1"] = f"post-{label}"
    if bot:
        return Stencil(event | {"bot": True, "reason": "bot"}, ids[0], *times, *ids[2:])
    return Stencil(event | {"visitor": visitor, "counted": True}, ids[0], *times, *ids[1:])


def _order(id: str, at: int, click: str, link: int, chance: random.Random) -> bytes:
    return _core.encode_event(
        {
            "kind": "order",
            "id": id,
            "at": at,
            "received": at,
            "registry": 1,
            "pid": PRODUCTS[link % len(PRODUCTS)],
            "merchant": MERCHANT,
            "oid": id,
            "amount": chance.randrange(1_000, 100_000),
            "currency": CURRENCY,
            "status": "approved",
            "click": click,
            "stamp": at,
            "source": "postback",
            "counted": True,
        }
    )
