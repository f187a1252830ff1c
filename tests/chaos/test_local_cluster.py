"""The scaled form as `deploy/local-cluster` runs it: real servers, real kills, from a click to the balance."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cluster import Cluster, cluster
from instance import signed
from waiting import until

SERVERS = ("postgresql", "mysql")


@pytest.fixture(params=SERVERS)
def machines(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    # pytest's own folders are closed to the users that the database servers run as
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with cluster(Path(folder, "cluster"), "--database", request.param) as made:
            made.merchant()
            made.product()
            made.promoter("ann")
            made.post("links", code="L", promoter="ann", product="tea", channel="web")
            yield made


def order(machines: Cluster, edge: str, name: str, click: str) -> str:
    """A signed order at one of the edges; its event."""
    pairs = {"merchant": "shop", "ts": str(int(time.time())), "oid": name, "click_id": click, "amount": "100.00"}
    with urllib.request.urlopen(f"{edge}/postback?{signed(machines.secrets['shop'], **pairs)}") as answer:
        event: str = json.load(answer)["event_id"]
        return event


def bought(machines: Cluster, name: str) -> None:
    """A click at one edge, an order for it at the other."""
    status, location, _ = machines.click("/c/L")
    assert status == 302, location
    click = location.rpartition("click_id=")[2]
    event = order(machines, machines.edges[1], name, click)
    until(lambda: machines.call("GET", f"events/{event}")[1].get("status") == "applied", f"order {name} to be booked")


def test_clicks_at_one_machine_and_orders_at_another_meet_in_the_books_through_every_kill(machines: Cluster) -> None:
    bought(machines, "o0")
    for number, name in enumerate(["redis-1", "process-1", "process-2", "database"], start=1):
        machines.tell(f"kill {name}")
        assert machines.click("/c/L")[0] == 302, f"{name} is gone, and the edge answers"
        machines.tell(f"start {name}")
        bought(machines, f"o{number}")
    assert machines.balance("ann")["pending"] == "50.00"
