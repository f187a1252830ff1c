"""Each fault of an instance on several machines, one by one, under load: docs/SCALING.md has the list."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import FAULTS
from scaled_load import goes_on, p99, prove, prove_books, prove_webhook, recovers, under_load

from cluster import Cluster, cluster
from load import stock
from receiving import Received, receiving

SEED = 20251205


@pytest.fixture(scope="module")
def received() -> Iterator[Received]:
    with receiving() as received:
        yield received


@pytest.fixture(scope="module")
def machines(received: Received) -> Iterator[Cluster]:
    with cluster("--spares", "1") as made:
        stock(made)
        made.post("webhooks", id="hook", url=received.url, events=["conversion.created"])
        yield made


@pytest.mark.parametrize("name", FAULTS)
def test_under_load_each_event_is_applied_once(
    machines: Cluster, name: str, record_property: Callable[[str, object], None]
) -> None:
    fault = FAULTS[name]
    with under_load(machines) as clients:
        goes_on(clients)
        repair = fault.strike(machines, random.Random(f"{SEED} {name}"))
        try:
            time.sleep(fault.short)  # so long it lasts: what is tried, and no condition to wait for
        finally:
            repair()
        goes_on(clients)
        record_property("seconds until the lag is normal", recovers(machines))
    record_property("p99 in seconds", p99(clients))
    prove(machines, clients)


def test_after_all_of_it_each_order_was_told_by_webhook(machines: Cluster, received: Received) -> None:
    prove_webhook(machines, received)


def test_after_all_of_it_the_books_are_those_of_an_undisturbed_run(machines: Cluster, tmp_path: Path) -> None:
    prove_books(machines, tmp_path / "quiet")
