"""A merchant's postbacks at a real service: repeats, forgeries, and keys that are replaced."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from instance import Instance, running, signed, tuike
from waiting import PATIENCE, until


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with running(tmp_path / "data", "--workers", "1") as instance:
        instance.merchant()
        instance.merchant("other")
        instance.product()
        instance.promoter("ann")
        yield instance
        tuike("verify", "--data", instance.data)


def send(instance: Instance, query: str) -> int:
    try:
        with urllib.request.urlopen(f"{instance.edge}/postback?{query}", timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def query(secret: str, oid: str, *, ts: float | None = None, merchant: str = "shop", **more: str) -> str:
    stamp = str(int(time.time() if ts is None else ts))
    return signed(secret, merchant=merchant, ts=stamp, oid=oid, pid="tea", amount="100.00", aff="ann", **more)


def orders(instance: Instance) -> int:
    return len(instance.get("conversions")["items"])


def test_a_repeated_postback_books_once_and_a_stale_or_borrowed_one_never(instance: Instance) -> None:
    key = instance.secrets["shop"]
    first = query(key, "1")
    assert [send(instance, first) for _ in range(5)] == [202] * 5
    refund = query(key, "1", status="refunded", refund_id="r1")
    assert [send(instance, refund) for _ in range(3)] == [202] * 3
    # the approval again, within its five minutes: the refund is final
    assert send(instance, first) == 202
    for forged in (
        query(key, "2", ts=time.time() - 301),
        query(key, "2", ts=time.time() + 302),
        query(instance.secrets["other"], "2"),
        query("", "2"),
        query(key, "2", merchant="nobody"),
        first.replace("oid=1", "oid=2"),
        first.replace("amount=100.00", "amount=900.00"),
        first.partition("&sig=")[0],
    ):
        assert send(instance, forged) == 401, forged
    until(lambda: orders(instance) == 1 and instance.balance("ann")["pending"] == "0.00", "the books")
    (order,) = instance.get("conversions")["items"]
    assert (order["status"], order["refunded"]) == ("refunded", "100.00")


def test_a_replaced_key_overlaps_as_long_as_asked_and_only_the_newest_two_sign(instance: Instance) -> None:
    first = instance.secrets["shop"]
    second = instance.post("merchants/shop/secret")
    assert len(second["secret"]) == 64 and second["secret"] != first
    assert second["old_secret_until"] == instance.get("merchants/shop")["old_secret_until"] is not None
    # the answer came when the edge had it
    assert [send(instance, query(key, "1")) for key in (first, second["secret"])] == [202, 202]
    third = instance.post("merchants/shop/secret", overlap_hours=1)["secret"]
    assert [send(instance, query(key, "1")) for key in (first, second["secret"], third)] == [401, 202, 202]
    fourth = instance.post("merchants/shop/secret", overlap_hours=0)
    assert fourth["old_secret_until"] is None
    assert [send(instance, query(key, "1")) for key in (second["secret"], third, fourth["secret"])] == [401, 401, 202]
    assert "secret" not in instance.get("merchants/shop")
    said = str(instance.get("audit"))
    assert not any(key in said for key in (first, second["secret"], third, fourth["secret"]))
    for body in ({"overlap_hours": 169}, {"overlap_hours": -1}, {"overlap_hours": "1"}, {"overlap": 1}):
        assert instance.call("POST", "merchants/shop/secret", body)[0] == 400, body
    assert instance.call("POST", "merchants/nobody/secret", {})[0] == 404


def test_a_restarted_service_knows_the_replaced_key(instance: Instance) -> None:
    first = instance.secrets["shop"]
    second = instance.post("merchants/shop/secret")["secret"]
    assert instance.stop() == 0
    instance.start()
    assert [send(instance, query(key, "1")) for key in (first, second)] == [202, 202]
    assert instance.stop() == 0
    tuike("replay", "--data", instance.data)
