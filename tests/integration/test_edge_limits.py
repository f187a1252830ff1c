"""Rate limits at a running edge: both doors mark the same hits, and whoever is below the limit is not touched."""

import asyncio
from pathlib import Path

import pytest
from edge_support import events, get, make_data, names, post, serving, signed, talk

from tuike.clock import wall

FORM = b"Content-Type: application/x-www-form-urlencoded"
PROXIED = {"trusted_proxies": ["127.0.0.0/8"]}


def marks(data: Path) -> list[tuple[str, bool, str]]:
    found = events(data)
    return [(event["kind"], event.get("counted", False), event.get("reason", "")) for event in found]


async def test_both_doors_mark_the_same_hits_orders_and_claims(tmp_path: Path) -> None:
    now = wall()
    beacon = post(b"/e", b'[{"aff":"a","pid":"p"},{"aff":"a","pid":"p"}]', b"Content-Type: application/json")
    requests = [
        *(get(b"/c/%d" % code) for code in range(3)),
        get(b"/p.gif?aff=a&pid=p"),
        get(b"/p.gif?aff=a&pid=p", b"User-Agent: Googlebot/2.1"),
        get(b"/r?aff=a&pid=p"),
        beacon,
        get(b"/conversion?oid=1&pid=p&amount=1.00"),
        get(b"/c/1", b"X-Forwarded-For: 198.51.100.7"),
        *(post(b"/postback", signed(now, oid=str(n), pid="p", amount="1.00"), FORM) for n in range(3)),
    ]
    made = []
    for front in (True, False):
        folder = tmp_path / str(front)
        folder.mkdir()
        limits = {"rate_limit_hits": 3, "rate_limit_orders": 2, "front": front, "clock": lambda: now}
        async with serving(make_data(folder, now), **limits, **PROXIED) as (_, port):
            answers = [names(await talk(port, [request], 1))[0] for request in requests]
        made.append((answers, marks(folder)))
    assert made[0] == made[1]
    answers, marked = made[0]
    assert answers == ["0", "1", "2", "200", "200", "p", "204", "200", "1", "202", "202", "202"]
    limited = "rate_limited"
    assert marked == [
        *[("click", True, "")] * 3,
        ("view", False, limited),
        ("view", False, "bot"),
        ("click", False, limited),
        *[("view", False, limited)] * 2,
        ("claim", True, limited),
        ("click", True, ""),
        *[("order", True, "")] * 2,
        ("order", True, limited),
    ]


@pytest.mark.parametrize("front", [True, False], ids=["front", "front off"])
async def test_a_flood_from_one_prefix_loses_nothing_and_marks_nobody_else(tmp_path: Path, front: bool) -> None:
    data = make_data(tmp_path)
    now = wall()
    limits = {"rate_limit_hits": 100, "front": front, "clock": lambda: now}
    async with serving(data, **limits, **PROXIED) as (_, port):
        flood = b"".join(get(b"/c/1", b"X-Forwarded-For: 203.0.113.%d" % (n % 256)) for n in range(500))
        honest = b"".join(get(b"/c/2", b"X-Forwarded-For: 198.51.%d.1" % n) for n in range(100))
        async with asyncio.TaskGroup() as group:
            flooded = group.create_task(talk(port, [flood], 500))
            served = group.create_task(talk(port, [honest], 100))
    assert names(flooded.result()) == ["1"] * 500 and names(served.result()) == ["2"] * 100
    found = events(data)
    assert len(found) == 600
    assert sum(event.get("counted", False) for event in found if event["link"] == "1") == 100
    assert all(event["counted"] for event in found if event["link"] == "2")
    assert {event["reason"] for event in found if not event.get("counted")} == {"rate_limited"}
