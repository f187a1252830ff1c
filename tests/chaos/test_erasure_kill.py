"""Erasures whose instance is killed again and again are done all the same, and the books are what they were; no address
that was seen stands in any file."""

import random
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from instance import Instance, Json, running, tuike
from waiting import until

PEOPLE = 24
FORGOTTEN = 3
KILLS = 4
SEED = 20251128
COPIES = 60
"""Hits of each one who is forgotten: their segments are some to rewrite."""


def test_erasures_killed_anywhere_are_done_and_nobody_is_left_in_a_file(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with running(tmp_path / "data", "--workers", "2", "--trusted-proxies", "127.0.0.0/8") as instance:
        people = visited(instance)
        before = [instance.balance(promoter) for promoter in ("ann", "bob")]
        assert before[0]["pending"] != "0.00"
        erased = list(people)[:FORGOTTEN]
        asked = [instance.call("DELETE", f"visitors/{visitor}")[1]["id"] for visitor in erased]
        asked.append(instance.call("DELETE", "visitors/cust-of-7?merchant=shop")[1]["id"])
        for _ in range(KILLS):
            time.sleep(chance.uniform(0, 2))  # the moment is what is random here
            instance.kill()
            instance.start()
        until(lambda: all(state(instance, id) == "done" for id in asked), "the erasures to be done")
        assert [instance.balance(promoter) for promoter in ("ann", "bob")] == before
        for visitor in erased:
            told = instance.get(f"visitors/{visitor}/export")
            assert not (told["events"] or told["orders"])
        assert instance.get(f"visitors/{list(people)[-1]}/export")["events"]
        assert instance.stop() == 0
    where = ("--data", instance.data)
    assert f"erasures: {FORGOTTEN + 1} done" in tuike("verify", *where).stdout
    assert "no difference" in tuike("replay", *where).stdout
    tuike("verify", "--attribution", *where)
    names = [name for visitor in erased for name in (visitor.encode(), bytes.fromhex(visitor))] + [b"cust-of-7"]
    addresses = [address.encode() for address in people.values()]
    for path in instance.data.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        assert not any(address in content for address in addresses), f"{path} has an address"
        # the touch store's own log is written over as it goes on
        if instance.data / "touches" not in path.parents:
            assert not any(name in content for name in names), f"{path} names somebody who is forgotten"


def visited(instance: Instance) -> dict[str, str]:
    """People who clicked, each from an address of its own; some of them bought. Their visitor ids and addresses."""
    instance.merchant()
    instance.product(attribution={"model": "last", "window_days": 30, "binding": "first", "path_reset": True})
    for promoter in ("ann", "bob"):
        instance.promoter(promoter)
        instance.post("links", code=promoter, promoter=promoter, product="tea")
    people = {}
    for number in range(PEOPLE):
        address = f"203.0.113.{number + 100}" if number % 2 else f"2001:db8:77:1::{number + 0x1000:x}"
        headers = {"X-Forwarded-For": address, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
        promoter = ("ann", "bob")[number % 2]
        status, location, cookies = instance.click(f"/c/{promoter}?cust=cust-of-{number}", **headers)
        assert status == 302
        visitor = cookies["tk_vid"][:32]
        people[visitor] = address
        for _ in range(COPIES if number < FORGOTTEN else 1):
            instance.click(f"/p.gif?aff={promoter}&pid=tea", **headers, Cookie=f"tk_vid={cookies['tk_vid']}")
        if number < FORGOTTEN + 6:
            click = parse_qs(urlsplit(location).query)["click_id"][0]
            order: Json = {"oid": f"o-{number}", "pid": "tea", "amount": "100.00", "click_id": click}
            assert instance.postback(**order, cust=f"cust-of-{number}")[0] == 202
    until(lambda: len(instance.get("conversions")["items"]) == FORGOTTEN + 6, "the orders to be booked")
    return people


def state(instance: Instance, id: str) -> str:
    found: str = instance.get(f"erasures/{id}")["state"]
    return found
