"""Postbacks in other trackers' names at a real service, and the list of those that did not count."""

import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instance import Instance, Json, running, tuike
from waiting import PATIENCE, until

CLICK = "click"
# What a tracker's postback URL says, with the order that it means: status, amount.
SAID = {
    "everflow": ({"transaction_id": CLICK, "amount": "12.50", "nid": "7", "oid": "33"}, "approved", "12.50"),
    "keitaro": ({"subid": CLICK, "payout": "7.5", "status": "lead", "tid": "T1", "currency": "cny"}, "pending", "7.50"),
    "voluum": ({"cid": CLICK, "payout": "3", "txid": "V1", "et": "purchase"}, "approved", "3.00"),
    "binom": ({"cnv_id": CLICK, "payout": "0.01", "cnv_status": "Hold", "cnv_currency": "CNY"}, "pending", "0.01"),
    "tune": ({"transaction_id": CLICK, "amount": "99", "adv_sub": "U1", "offer_id": "26"}, "approved", "99.00"),
}
TOKENS = {"everflow": "verification_token", "tune": "security_token"}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with running(tmp_path / "data", "--workers", "1") as instance:
        instance.merchant()
        instance.product()
        instance.promoter("ann")
        instance.post("links", code="L1", promoter="ann", product="tea")
        yield instance
        tuike("verify", "--data", instance.data)
        assert instance.stop() == 0
        tuike("replay", "--data", instance.data)


def send(instance: Instance, **parameters: str) -> tuple[int, Json]:
    query = urllib.parse.urlencode({"merchant": "shop"} | parameters)
    try:
        with urllib.request.urlopen(f"{instance.edge}/postback?{query}", timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def speaks(instance: Instance, dialect: Any) -> None:
    status, merchant = instance.call("PATCH", "merchants/shop", {"dialect": dialect})
    assert (status, merchant["dialect"]) == (200, dialect)


def click(instance: Instance) -> str:
    status, location, _ = instance.click("/c/L1", **{"User-Agent": "Mozilla/5.0 (X11) Firefox/140.0"})
    assert status == 302
    return urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)["click_id"][0]


def became(instance: Instance, event: str) -> str:
    until(lambda: instance.get(f"events/{event}")["status"] != "waiting", f"event {event}")
    return str(instance.get(f"events/{event}")["status"])


def refused(instance: Instance, **filters: str) -> list[Json]:
    query = urllib.parse.urlencode(filters)
    return list(instance.get(f"postbacks/refused?{query}")["items"])


def test_the_five_trackers_postbacks_credit_the_click_they_name(instance: Instance) -> None:
    token = instance.post("merchants/shop/token")["token"]
    # off until the merchant has a dialect
    assert send(instance, oid="1", pid="tea", token=token)[0] == 401
    for tracker, (said, status, amount) in SAID.items():
        speaks(instance, tracker)
        id = click(instance)
        given = {name: id if value == CLICK else value for name, value in said.items()}
        code, answer = send(instance, **given, **{TOKENS.get(tracker, "token"): token})
        assert code == 202, (tracker, answer)
        assert became(instance, answer["event_id"]) == "applied", tracker
        (order,) = [order for order in instance.get("conversions")["items"] if order["amount"] == amount]
        assert (order["status"], order["product"]) == (status, "tea"), tracker
        assert [credit["promoter"] for credit in order["credits"]] == ["ann"], tracker
        assert send(instance, **given)[0] == send(instance, **given, token="x")[0] == 401


def test_a_token_is_shown_once_replaced_with_an_overlap_and_off_with_the_dialect(instance: Instance) -> None:
    speaks(instance, {"names": {"ref_no": "oid", "sum": "amount"}, "statuses": {"OK": "approved"}})
    first = instance.post("merchants/shop/token")
    assert first["postback_token"] is True and len(first["token"]) == 64
    second = instance.post("merchants/shop/token")["token"]
    third = instance.post("merchants/shop/token", overlap_hours=0)["token"]

    def order(token: str) -> int:
        said = {"ref_no": secrets.token_hex(4), "sum": "1.00", "pid": "tea", "status": "ok"}
        return send(instance, **said, token=token)[0]

    assert [order(token) for token in (first["token"], second, third)] == [401, 401, 202]
    fourth = instance.post("merchants/shop/token")["token"]
    assert [order(token) for token in (second, third, fourth)] == [401, 202, 202]
    said = str(instance.get("audit")) + str(instance.get("merchants/shop"))
    assert not any(token in said for token in (first["token"], second, third, fourth))
    speaks(instance, None)
    assert order(fourth) == 401
    for body in ({"dialect": "nobody"}, {"dialect": {"names": {"sig": "oid"}}}, {"dialect": {"names": {"a": "b"}}}):
        assert instance.call("PATCH", "merchants/shop", body)[0] == 400, body


def test_what_was_refused_is_listed_without_secrets_and_counts_when_it_can_be_read(instance: Instance) -> None:
    speaks(instance, "keitaro")
    token = instance.post("merchants/shop/token")["token"]
    assert send(instance, tid="A1", pid="tea", payout="5.00", status="paid", token=token, cust="c1")[0] == 422
    assert send(instance, tid="A2", pid="tea", payout="5.005", token=token)[0] == 422
    assert send(instance, tid="A3", pid="tea", payout="5.005", token="wrong")[0] == 401
    until(lambda: len(refused(instance)) == 2, "the list")
    amount, status = refused(instance)
    assert (status["code"], status["by"], status["signed"]) == ("unknown_status", "edge", False)
    assert {one["name"]: one["value"] for one in status["parameters"]} == {
        "tid": "A1",
        "pid": "tea",
        "payout": "5.00",
        "status": "paid",
        "cust": "c1",
    }
    assert token not in str(refused(instance)) and refused(instance, code="bad_amount") == [amount]
    event = status["id"]
    again = instance.post(f"postbacks/refused/{event}/replay")
    assert (again["status"], again["code"]) == ("set_aside", "unknown_status")
    names = {"tid": "oid", "payout": "amount"}
    speaks(instance, {"names": names, "statuses": {"paid": "approved"}})
    again = instance.post(f"postbacks/refused/{event}/replay")
    assert (again["status"], again["event_id"]) == ("applied", event)
    assert became(instance, event) == "applied"
    assert instance.get(f"conversions/{again['conversion']}")["amount"] == "5.00"
    assert instance.call("POST", f"postbacks/refused/{event}/replay")[0] == 404
    assert instance.call("DELETE", f"postbacks/refused/{amount['id']}")[0] == 200
    assert refused(instance) == []
    actions = [row["action"] for row in instance.get("audit")["items"]]
    assert actions.count("postback.replay") == 2 and actions.count("postback.dismiss") == 1


def test_what_the_books_set_aside_is_in_the_same_list(instance: Instance) -> None:
    speaks(instance, "keitaro")
    token = instance.post("merchants/shop/token")["token"]
    for payout in ("5.00", "6.00"):
        assert send(instance, tid="B1", pid="tea", payout=payout, token=token)[0] == 202
    until(lambda: len(refused(instance)) == 1, "the list")
    (one,) = refused(instance)
    assert (one["code"], one["by"]) == ("amount_conflict", "books")
    assert {"name": "amount", "value": "6.00"} in one["parameters"]
    assert instance.post(f"postbacks/refused/{one['id']}/replay")["code"] == "amount_conflict"
    instance.merchant("other")
    theirs = instance.post("tokens", role="merchant:other")["token"]
    own = instance.post("tokens", role="merchant:shop")["token"]
    assert instance.call("GET", "postbacks/refused", token=own)[1]["items"] == refused(instance)
    assert instance.call("GET", "postbacks/refused", token=theirs) == (200, {"items": [], "next": None})
