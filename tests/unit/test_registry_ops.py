"""Registry writes: what the API answers, what edges hear, what is kept (contract.md, section 3)."""

import json
from pathlib import Path

import pytest
from books_kit import NOW, TEN_PERCENT, Books
from sqlalchemy import select

from tuike.books import defaults, entries
from tuike.stores import schema


@pytest.fixture
def books(tmp_path: Path) -> Books:
    books = Books(tmp_path)
    books.shop()
    return books


def answer(outcome: dict[str, object]) -> tuple[object, object]:
    return outcome["http"], outcome["code"]


def test_a_merchant_gets_the_defaults_and_its_secret_stays_out_of_the_answer(books: Books) -> None:
    outcome = books.ask("merchant.create", id="m", name="M", currency="JPY", secret="sealed")
    assert outcome["http"] == 201
    assert outcome["result"] == {
        "id": "m",
        "name": "M",
        "currency": "JPY",
        "timezone": "UTC",
        "settlement": "T+1",
        "refund_days": 0,
        "release_when": "approved",
        "status": "active",
        "created": "2025-10-09T08:53:20Z",
        "old_secret_until": None,
        "dialect": None,
        "postback_token": False,
    }


def test_a_product_shows_its_defaults_and_its_rule(books: Books) -> None:
    outcome = books.ask(
        "product.create",
        id="p",
        merchant="shop",
        name="P",
        url="https://s.example/p",
        commission=TEN_PERCENT,
        attribution={"model": "linear"},
        fraud={"max_devices": 0},
    )
    result = outcome["result"]
    assert (outcome["http"], result["commission"], result["rule_version"]) == (201, TEN_PERCENT, 1)
    assert (result["attribution"]["model"], result["attribution"]["window_days"]) == ("linear", 30)
    assert result["fraud"] == defaults.FRAUD | {"max_devices": 0}
    asked = ("max_clicks_per_ip_day", "min_seconds_to_order", "max_devices")
    assert [defaults.FRAUD[name] for name in asked] == [100, 5, 5]
    assert (result["pixel_conversions"], result["cookie_days"], result["fallback_url"]) == ("hold", 30, None)


@pytest.mark.parametrize(
    ("op", "body"),
    [
        ("merchant.create", {"id": "shop", "name": "Shop", "currency": "CNY", "secret": "sealed anew"}),
        ("promoter.create", {"id": "bob", "name": "Bob", "parent": "carol"}),
    ],
)
def test_the_same_body_again_is_no_conflict_and_another_is(books: Books, op: str, body: dict[str, str]) -> None:
    assert answer(books.ask(op, **body)) == (200, "")
    assert answer(books.ask(op, **body | {"name": "Other"})) == (409, "conflict")


def test_the_same_body_again_is_no_conflict_after_a_change_either(books: Books) -> None:
    books.ask("promoter.update", id="bob", name="Robert")
    again = books.ask("promoter.create", id="bob", name="Bob", parent="carol")
    assert (again["http"], again["result"]["name"]) == (200, "Robert")


@pytest.mark.parametrize(
    ("op", "data", "expected"),
    [
        ("merchant.update", {"id": "x"}, (404, "unknown_merchant")),
        ("product.update", {"id": "x"}, (404, "unknown_product")),
        ("promoter.update", {"id": "x"}, (404, "unknown_promoter")),
        ("promoter.parent", {"id": "x", "parent": "bob"}, (404, "unknown_promoter")),
        ("promoter.parent", {"id": "bob", "parent": "x"}, (422, "unknown_parent")),
        ("promoter.bind", {"id": "carol", "parent": "x"}, (422, "unknown_parent")),
        ("promoter.bind", {"id": "carol", "parent": None}, (422, "unknown_parent")),
        ("promoter.create", {"id": "dora", "parent": "x"}, (422, "unknown_parent")),
        ("link.update", {"code": "x"}, (404, "unknown_link")),
        ("link.create", {"promoter": "x", "product": "tea"}, (422, "unknown_promoter")),
        ("link.create", {"promoter": "bob", "product": "x"}, (422, "unknown_product")),
        ("token.create", {"hash": "h", "role": "merchant", "subject": "x"}, (422, "unknown_merchant")),
        ("token.revoke", {"id": "x"}, (404, "unknown_token")),
        ("merchant.melt", {}, (422, "unknown_op")),
    ],
)
def test_what_is_unknown_is_refused(books: Books, op: str, data: dict[str, str], expected: tuple[int, str]) -> None:
    outcome = books.ask(op, **data)
    assert answer(outcome) == expected
    assert outcome["status"] == "set_aside"


# --- rules -----------------------------------------------------------------------------------------


def test_a_rule_that_does_not_hold_is_refused_with_the_cores_code(books: Books) -> None:
    body = {"id": "p", "merchant": "shop", "name": "P", "url": "https://s.example/"}
    outcome = books.ask("product.create", **body, commission={"type": "percentage", "value": "-1"})
    assert answer(outcome) == (422, "negative_value")
    assert books.rows(select(schema.products.c.id)) == [{"id": "tea"}]


def test_rules_are_versions_that_begin_now_or_later(books: Books) -> None:
    assert answer(books.ask("product.update", id="tea", commission=TEN_PERCENT, effective_from=NOW - 1)) == (
        422,
        "effective_in_past",
    )
    later = TEN_PERCENT | {"value": "12"}
    planned = books.ask("product.update", id="tea", commission=later, effective_from=NOW + 1)
    assert planned["result"]["rule_version"] == 1
    now = books.ask("product.update", id="tea", commission=TEN_PERCENT)
    assert answer(now) == (422, "effective_out_of_order")
    rows = books.rows(select(schema.rules.c.version, schema.rules.c.effective_from))
    assert rows == [{"version": 1, "effective_from": NOW}, {"version": 2, "effective_from": NOW + 1}]


def test_an_update_changes_what_it_names_alone(books: Books) -> None:
    before = books.ask("product.update", id="tea")["result"]
    after = books.ask("product.update", id="tea", attribution={"model": "first"}, fallback_url="https://s.example/gone")
    assert after["result"] == before | {
        "attribution": before["attribution"] | {"model": "first"},
        "fallback_url": "https://s.example/gone",
    }


# --- the tree --------------------------------------------------------------------------------------


@pytest.mark.parametrize("parent", ["alice", "carol", "bob"])
def test_a_loop_is_refused(books: Books, parent: str) -> None:
    outcome = books.ask("promoter.parent", id="carol", parent=parent, reason="why not")
    assert answer(outcome) == (409, "loop")
    assert books.bookkeeper.registry.chain("alice", NOW, 3) == ["alice", "bob", "carol"]


def test_only_the_first_bind_counts(books: Books) -> None:
    books.ask("promoter.create", id="dora", name="Dora")
    assert answer(books.ask("promoter.bind", id="dora", parent="alice")) == (200, "")
    assert answer(books.ask("promoter.bind", id="dora", parent="alice")) == (409, "already_bound")
    assert answer(books.ask("promoter.bind", id="carol", parent="dora")) == (409, "loop")
    assert books.bookkeeper.registry.chain("dora", NOW, 3) == ["dora", "alice", "bob"]


def test_the_tree_is_the_same_after_a_start(books: Books) -> None:
    for at, parent in ((NOW + 5, "carol"), (NOW + 7, None), (NOW + 6, "bob")):
        item = books.request("registry", "promoter.parent", {"id": "alice", "parent": parent, "reason": ""}, at=at)
        books.apply(registry=[item])
    instants = range(NOW - 1, NOW + 10)
    before = [books.bookkeeper.registry.chain("alice", at, 3) for at in instants]
    books.open()
    assert [books.bookkeeper.registry.chain("alice", at, 3) for at in instants] == before
    assert before[0] == ["alice", "bob", "carol"]


# --- links and tokens ------------------------------------------------------------------------------


def test_a_link_without_a_code_gets_one_from_its_event(books: Books) -> None:
    first = books.ask("link.create", promoter="bob", product="tea")["result"]
    second = books.ask("link.create", promoter="bob", product="tea")["result"]
    assert len(first["code"]) == 8
    assert first["code"] != second["code"]
    assert first["url"] == "https://s.example/"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://s.example/deep", ""),
        ("http://S.EXAMPLE:8080/", ""),
        ("https://shop.example/", ""),
        ("https://evil.example/", "url_not_allowed"),
        ("https://s.example@evil.example/", "url_not_allowed"),
        ("javascript://s.example/%0aalert(1)", "url_not_allowed"),
        ("//s.example/", "url_not_allowed"),
        ("https://[s.example/", "url_not_allowed"),
    ],
)
def test_a_link_leads_to_the_products_hosts_only(books: Books, url: str, code: str) -> None:
    books.ask("product.update", id="tea", allowed_hosts=["shop.example"])
    assert books.ask("link.create", promoter="bob", product="tea", url=url)["code"] == code


def test_a_token_is_kept_as_its_hash_and_can_be_revoked(books: Books) -> None:
    made = books.ask("token.create", hash="h1", role="promoter", subject="bob", expires=NOW + 1)["result"]
    assert (made["role"], made["revoked"], "hash" in made) == ("promoter:bob", False, False)
    assert books.ask("token.revoke", id=made["id"])["result"]["revoked"]
    (detail,) = [row["detail"] for row in books.rows(select(schema.audit)) if row["action"] == "token.create"]
    assert "h1" not in detail


# --- idempotency, audit, edges ---------------------------------------------------------------------


def test_an_idempotency_key_answers_as_the_first_time(books: Books) -> None:
    def ask(promoter: str, fingerprint: str) -> dict[str, object]:
        data = {"promoter": promoter, "product": "tea"}
        item = books.request("registry", "link.create", data, idem="k", fingerprint=fingerprint)
        books.apply(registry=[item])
        return books.outcome(item.message.id)

    first, again, other = ask("bob", "f1"), ask("bob", "f1"), ask("alice", "f2")
    assert (again["http"], again["result"]) == (first["http"], first["result"])
    assert answer(other) == (422, "idempotency_conflict")
    assert len(books.rows(select(schema.links))) == 1


def test_an_idempotency_key_holds_within_one_batch(books: Books) -> None:
    data = {"promoter": "bob", "product": "tea"}
    prints = ("f1", "f2", "f1")
    items = [books.request("registry", "link.create", data, idem="k", fingerprint=f) for f in prints]
    books.apply(registry=items)
    assert [books.outcome(item.message.id)["code"] for item in items] == ["", "idempotency_conflict", ""]
    assert len(books.rows(select(schema.links))) == 1


def test_changes_stand_in_the_audit_without_secrets_and_repeats_do_not(books: Books) -> None:
    books.ask("promoter.create", id="bob", name="Bob", parent="carol")
    rows = books.rows(select(schema.audit).order_by(schema.audit.c.number))
    assert [row["target"] for row in rows] == [
        "merchant:shop",
        "product:tea",
        "promoter:carol",
        "promoter:bob",
        "promoter:alice",
    ]
    assert json.loads(rows[0]["detail"]) == {"id": "shop", "name": "Shop", "currency": "CNY"}


def test_edges_hear_of_changes_as_the_snapshot_tells_them(books: Books) -> None:
    update = books.request("registry", "product.update", {"id": "tea", "allowed_hosts": ["a.example"]})
    link = books.request("registry", "link.create", {"code": "L", "promoter": "bob", "product": "tea", "sub1": "x"})
    token = books.request("registry", "token.create", {"hash": "h", "role": "admin"})
    heard = books.apply(registry=[update, link, token])
    with books.engine.begin() as connection:
        few = list(entries.few(connection))
        tables = ((schema.promoters, entries.PROMOTER), (schema.links, entries.LINK))
        promoters, links = ([json.loads(row) for row in connection.scalars(entries.rows(*one))] for one in tables)
    assert [entry["t"] for entry in heard] == ["product", "link"]
    assert [entry["t"] for entry in few] == ["merchant", "product"]
    assert heard[0] in few
    assert heard[1] == {"t": "link"} | dict(zip(entries.LINK, links[0], strict=True))
    assert (len(links), sorted(promoters)) == (1, [["alice", "active"], ["bob", "active"], ["carol", "active"]])


def test_a_registry_write_is_booked_whole_and_journalled_by_its_number_alone(books: Books) -> None:
    (record,) = books.journal[-1:]
    assert record.message is not None and record.message.id == record.event
    short = record.journalled
    assert (short.kind, short.number, short.outcome, short.request, short.message) == ("registry", 5, None, None, None)
