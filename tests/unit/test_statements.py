"""Signed statements: whole, checked without the database, and no field of them can be changed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from proof_kit import DAY, World, full
from tuike import _core
from tuike import statements as module
from tuike.statements import Signer, statements
from tuike.stores import engine, schema, tiles
from tuike.verify.statement import NotAStatement, verify_file

Json = dict[str, Any]


def made(world: World, promoter: str = "alice", month: str = "", after: int = 0) -> list[Json]:
    books = engine.open_reader(world.data.database)
    with books.begin() as connection:
        signer = Signer(world.data.secret, world.data.statement_key())
        found = list(statements(connection, signer, promoter, month, after))
    books.dispose()
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return full(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def statement(world: World) -> Json:
    (found,) = made(world)
    return found


@pytest.fixture
def fault(tmp_path: Path) -> Callable[..., str]:
    """What `tuike verify --statement` finds in a document: its place; empty: nothing."""

    def check(document: Any, key: str | None = None) -> str:
        file = tmp_path / "statement.json"
        file.write_text(json.dumps(document))
        found = verify_file(file, key).fault
        return "" if found is None else f"{found.place}: {found.detail}"

    return check


def resigned(world: World, document: Json) -> Json:
    """As the holder of the key would forge it."""
    bare = {name: value for name, value in document.items() if name not in ("key", "signature")}
    return Signer(world.data.secret, world.data.statement_key()).sign(bare)


def test_a_statement_has_every_line_of_the_month_and_is_proved_alone(
    world: World, statement: Json, fault: Callable[..., str]
) -> None:
    assert (statement["promoter"], statement["month"], statement["currencies"]) == ("alice", "2025-10", ["CNY"])
    names = {f"promoter:alice:{purse}" for purse in ("pending", "available", "reserved", "paid", "owed", "tax")}
    table = schema.entries.c
    own = select(schema.accounts.c.id).where(schema.accounts.c.name.in_(names))
    last = statement["days"][-1]["last"]
    wanted = world.rows(select(table.transfer, table.position).where(table.account.in_(own), table.transfer <= last))
    lines = [(line["transfer"], line["position"]) for line in statement["lines"]]
    assert lines == sorted((row["transfer"], row["position"]) for row in wanted)
    kinds = {line["kind"] for line in statement["lines"]}
    assert kinds >= {"accrue", "reverse", "release", "reserve", "paid"}
    assert fault(statement) == fault(statement, statement["key"]) == ""


def test_a_line_names_its_order_and_what_it_is(statement: Json) -> None:
    line = statement["lines"][0]
    assert (line["account"], line["amount"], line["kind"]) == ("promoter:alice:pending", "2.50", "accrue")
    assert (line["order_id"], line["merchant"], line["product"]) == ("o1", "shop", "tea")
    assert line["id"] == f"{line['conversion']}:accrue:1"
    payout = next(line for line in statement["lines"] if line["kind"] == "paid")
    assert payout["conversion"] is payout["order_id"] is None


def test_only_closed_days_are_in_it(world: World, statement: Json) -> None:
    assert [day["day"] for day in statement["days"]] == ["2025-10-09"]
    assert "o3" not in {line["order_id"] for line in statement["lines"]}
    assert made(world, month="2025-11") == []


def test_who_has_no_line_has_no_statement(world: World) -> None:
    assert made(world, "nobody") == []


def test_nothing_of_other_promoters_is_in_it(statement: Json) -> None:
    text = json.dumps(statement)
    assert "promoter:bob" not in text and "promoter:dave" not in text and "merchant:" not in text


def test_each_account_goes_from_its_opening_to_its_closing(statement: Json) -> None:
    for account in statement["accounts"]:
        lines = [line["amount"] for line in statement["lines"] if line["account"] == account["account"]]
        moved = sum(round(float(amount) * 100) for amount in lines)
        assert round(float(account["opening"]) * 100) + moved == round(float(account["closing"]) * 100)


def other(value: Any) -> Any:
    """Another value of the same kind that could stand there."""
    if isinstance(value, int):
        return value + 1
    if value is None:
        return "0" * 32
    digits = value.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    return digits if digits != value else value + "x"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all that is no container."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, (*path, key))
    else:
        yield path


def put(document: Json, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Json:
    copy = json.loads(json.dumps(document))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = change(inside[path[-1]])
    return copy


def test_no_field_can_be_changed(statement: Json, fault: Callable[..., str]) -> None:
    paths = list(leaves(statement))
    assert len(paths) > 100
    for path in paths:
        assert fault(put(statement, path, other)), path


def test_no_field_can_be_changed_by_who_has_the_key(world: World, statement: Json, fault: Callable[..., str]) -> None:
    """But what nothing else in the statement says, and the statement before it and the published roots do."""
    free = {("accounts", "opening"), ("accounts", "closing"), ("days", "leaves"), ("days", "last")}
    for path in leaves(statement):
        if path[0] in ("key", "signature") or path[0::2] in free or path in (("first",), ("last",)):
            continue
        found = fault(resigned(world, put(statement, path, other)))
        assert found and "signature" not in found, path


@pytest.mark.parametrize("name", ["lines", "days", "accounts", "currencies"])
def test_nothing_can_be_left_out_or_doubled(
    world: World, statement: Json, fault: Callable[..., str], name: str
) -> None:
    for place in range(len(statement[name])):
        assert fault(resigned(world, put(statement, (name,), lambda all, at=place: all[:at] + all[at + 1 :])))
        assert fault(resigned(world, put(statement, (name,), lambda all, at=place: [*all, all[at]])))


def test_another_key_is_not_the_instances(world: World, statement: Json, fault: Callable[..., str]) -> None:
    forged = Signer(world.data.secret, bytes(32)).sign(
        {name: value for name, value in statement.items() if name not in ("key", "signature")}
    )
    assert fault(forged) == ""
    assert fault(forged, statement["key"]).startswith("key: ")


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", "{'a': 1}", '{"items": []}', '{"items": [{}]}', "null"])
def test_what_is_no_statement_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(NotAStatement, match=str(file)):
        verify_file(file, None)


def test_the_canonical_form_is_that_of_rfc_8785() -> None:
    document = {"b": '€"\\/\n\x0f\x7f', "a": [1, None, True], "signature": "x", "é": "\u2028"}
    assert module.canonical(document) == ('{"a":[1,null,true],"b":"€\\"\\\\/\\n\\u000f\x7f","é":"\u2028"}'.encode())


def test_a_long_month_comes_in_statements_that_go_on_where_the_one_before_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., str]
) -> None:
    monkeypatch.setattr(module, "LINES_PER_STATEMENT", 7)
    monkeypatch.setattr(tiles, "TILE", 8)
    world = World(tmp_path)
    world.shop()
    world.promoters()
    world.click("alice")
    for day in range(30):
        world.order(f"o{day}")
        world.settle()
        world.now += DAY
    world.drain()
    world.stop()
    parts = made(world)
    assert [len(part["lines"]) <= 7 for part in parts] == [True] * len(parts)
    assert {part["month"] for part in parts} == {"2025-10", "2025-11"}
    assert sum(len(part["lines"]) for part in parts) == 90
    assert fault({"items": parts, "next": None}) == ""
    assert made(world, after=parts[1]["last"]) == parts[2:]
    assert made(world, month="2025-11") == [part for part in parts if part["month"] == "2025-11"]
    for wrong in ([*parts[:1], *parts[2:]], [parts[1], parts[0]], [parts[0], parts[0]]):
        assert fault({"items": wrong})
    world.proved()


def test_amounts_of_a_currency_without_decimals_are_whole(tmp_path: Path, fault: Callable[..., str]) -> None:
    world = World(tmp_path)
    secret = _core.seal(world.data.secret, "merchant", b"key", bytes(12))
    world.ask("merchant.create", id="shop", name="Shop", currency="JPY", secret=secret)
    world.shop()
    world.promoters()
    world.click("alice")
    world.order("o1", 1_000, currency="JPY")
    world.drain()
    world.now += DAY
    world.drain()
    world.stop()
    (found,) = made(world)
    assert found["lines"][0]["amount"] == "50"
    assert fault(found) == ""
