"""A real click log through the real service: once over HTTP, once through `tuike import`."""

import asyncio
import csv
import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from books import books, differences
from instance import Instance, running, tuike
from waiting import until

CLICKS = 100_000
INSTALLS = 227
CONNECTIONS = 64
AHEAD = 16
"""Requests that each connection has under way."""

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> list[Row]:
    with gzip.open(shared_data / "clicks" / "talkingdata_train_sample.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def over_http(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    # all of it comes at once, and each install a moment after its click
    with _prepared(rows, tmp_path_factory.mktemp("http"), fraud={"min_seconds_to_order": 0}) as instance:
        clicks = asyncio.run(_send_clicks(instance, rows))
        _send_installs(instance, rows, clicks)
        until(lambda: _whole(instance), "clicks and installs in the report")
        yield instance


@pytest.fixture(scope="module")
def imported(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    directory = tmp_path_factory.mktemp("import")
    with _prepared(rows, directory, fraud={}) as instance:
        order = list(range(len(rows)))
        random.Random(7).shuffle(order)
        clicks, orders = directory / "clicks.csv", directory / "orders.ndjson"
        with clicks.open("w") as file:
            writer = csv.writer(file)
            writer.writerow(("time", "aff", "pid", "visitor", "ip", "ua", "channel"))
            for n in order:
                row = rows[n]
                writer.writerow(
                    (
                        _instant(row["click_time"]),
                        f"c{row['channel']}",
                        f"p{row['app']}",
                        f"v{n}",
                        _address(row),
                        _agent(row),
                        row["channel"],
                    )
                )
        with orders.open("w") as file:
            for n in (n for n in order if rows[n]["is_attributed"] == "1"):
                row = rows[n]
                order_row = {
                    "time": _instant(row["attributed_time"]),
                    "pid": f"p{row['app']}",
                    "order_id": f"o{n}",
                    "amount": "10.00",
                    "visitor": f"v{n}",
                }
                file.write(json.dumps(order_row) + "\n")
        for kind, path in (("clicks", clicks), ("conversions", orders)):
            tuike("import", kind, path, "--data", instance.data)
        yield instance


@pytest.mark.parametrize("way", ["over_http", "imported"])
def test_every_click_and_every_install_is_in_the_report_on_its_own_channel(
    way: str, rows: list[Row], request: pytest.FixtureRequest
) -> None:
    instance: Instance = request.getfixturevalue(way)
    summary = instance.get("reports/summary?from=2017-01-01T00:00:00Z")
    assert (summary["clicks"], summary["conversions"]) == (CLICKS, INSTALLS)
    clicks = Counter(row["channel"] for row in rows)
    installs = Counter(row["channel"] for row in rows if row["is_attributed"] == "1")
    items = instance.get("reports/summary?from=2017-01-01T00:00:00Z&group_by=channel")["items"]
    assert {item["channel"]: item["clicks"] for item in items} == dict(clicks)
    assert {item["channel"]: item["conversions"] for item in items if item["conversions"]} == dict(installs)


@pytest.mark.parametrize("way", ["over_http", "imported"])
def test_addresses_are_kept_as_pseudonyms_that_still_count(
    way: str, rows: list[Row], request: pytest.FixtureRequest
) -> None:
    instance: Instance = request.getfixturevalue(way)
    text = tuike("journal", "cat", "--data", instance.data).stdout
    addresses = Counter(event["address"] for event in map(json.loads, text.splitlines()) if event["kind"] == "click")
    assert len(addresses) == 34_857
    assert [count for _, count in addresses.most_common(3)] == [669, 616, 439]
    assert not re.search(rf'"{re.escape(_address(rows[0]))}"', text)


def test_both_ways_end_in_the_same_books(over_http: Instance, imported: Instance) -> None:
    """But for what fraud holds: over HTTP all clicks are of one day. Those that one of them holds are compared without
    status and reason."""
    sides = [books(instance.data) for instance in (over_http, imported)]
    held = {order[1] for side in sides for order in side["orders"] if order[8] == "fraud"}
    assert 7 <= len(held) <= 10
    for side in sides:
        side["orders"] = [(*order[:5], *order[6:8]) if order[1] in held else order for order in side["orders"]]
    assert not differences(*sides)


def test_flags_hold_the_installs_of_busy_addresses_and_delete_none(over_http: Instance, rows: list[Row]) -> None:
    clicks = Counter(row["ip"] for row in rows)
    busy = {ip for ip, count in clicks.items() if count > 100}
    expected = {f"o{n}" for n, row in enumerate(rows) if row["is_attributed"] == "1" and row["ip"] in busy}
    assert (len(busy), len(expected)) == (22, 7)
    held = _flagged(over_http, "clicks_per_ip_day")
    assert set(held) == expected
    assert {(order["status"], order["reason"], order["credits"][0]["amount"]) for order in held.values()} == {
        ("pending", "fraud", "1.00")
    }


def test_an_imported_log_is_judged_by_its_own_days_and_times(imported: Instance, rows: list[Row]) -> None:
    installs = [(n, row) for n, row in enumerate(rows) if row["is_attributed"] == "1"]
    hasty = {f"o{n}" for n, row in installs if _seconds(row["attributed_time"]) - _seconds(row["click_time"]) < 5}
    assert (len(hasty), set(_flagged(imported, "seconds_to_order"))) == (3, hasty)
    busy = set()
    for n, row in installs:
        day = row["click_time"][:10]
        same = [one for one in rows if one["ip"] == row["ip"] and one["click_time"][:10] == day]
        if sum(one["click_time"] <= row["attributed_time"] for one in same) > 100:
            busy.add(f"o{n}")
    assert set(_flagged(imported, "clicks_per_ip_day")) == busy


def _flagged(instance: Instance, rule: str) -> dict[str, Any]:
    """The orders that a rule holds, by their ids."""
    flags = instance.get(f"fraud/flags?status=open&rule={rule}&limit=500")["items"]
    orders = [instance.get(f"conversions/{flag['conversion']}") for flag in flags]
    return {order["order_id"]: order for order in orders}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_books_of_both_are_proven(over_http: Instance, imported: Instance) -> None:
    for instance in (over_http, imported):
        tuike("verify", "--data", instance.data)


def _whole(instance: Instance) -> bool:
    summary = instance.get("reports/summary")
    return bool((summary["clicks"], summary["conversions"]) == (CLICKS, INSTALLS))


# --- the parts -------------------------------------------------------------------------------------


@contextmanager
def _prepared(rows: list[Row], directory: Path, fraud: dict[str, int]) -> Iterator[Instance]:
    """An instance with a promoter for each channel, a product for each app, one merchant."""
    with running(directory / "data", "--workers", "2", "--trusted-proxies", "127.0.0.0/8") as instance:
        instance.merchant()
        promoters = directory / "promoters.csv"
        channels = sorted({row["channel"] for row in rows}, key=int)
        promoters.write_text("id,name\n" + "".join(f"c{channel},channel {channel}\n" for channel in channels))
        tuike("import", "promoters", promoters, "--data", instance.data)
        with ThreadPoolExecutor(32) as pool:
            products = sorted({f"p{row['app']}" for row in rows})
            list(pool.map(lambda product: instance.product(product, fraud=fraud), products))
        yield instance


def _address(row: Row) -> str:
    n = int(row["ip"])
    return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"


def _agent(row: Row) -> str:
    return f"Mozilla/5.0 (Linux; Android; device {row['device']}) os/{row['os']}"


def _instant(text: str) -> str:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat()


async def _send_clicks(instance: Instance, rows: list[Row]) -> dict[int, str]:
    """Each row as a click on keep-alive connections; the click id of each install's click."""
    found: dict[int, str] = {}

    async def connection(numbers: range) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", instance.edge_port)
        for start in range(0, len(numbers), AHEAD):
            batch = numbers[start : start + AHEAD]
            writer.write(b"".join(_click(rows[n]) for n in batch))
            for n in batch:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 302 ") and b"Tuike-Recorded" not in head
                if rows[n]["is_attributed"] == "1":
                    found[n] = re.search(rb"click_id=([0-9a-f]{32})", head)[1].decode()  # type: ignore[index]
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(connection(range(i, len(rows), CONNECTIONS)) for i in range(CONNECTIONS)))
    return found


def _click(row: Row) -> bytes:
    return (
        f"GET /r?aff=c{row['channel']}&pid=p{row['app']}&ch={row['channel']} HTTP/1.1\r\nHost: edge.example\r\n"
        f"User-Agent: {_agent(row)}\r\nX-Forwarded-For: {_address(row)}\r\n\r\n"
    ).encode()


def _send_installs(instance: Instance, rows: list[Row], clicks: dict[int, str]) -> None:
    for n, click in clicks.items():
        status, _ = instance.postback(oid=f"o{n}", pid=f"p{rows[n]['app']}", amount="10.00", click_id=click)
        assert status == 202
