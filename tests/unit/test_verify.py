"""verify: what holds is proved; what was tampered with is named, whatever table it is in."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from proof_kit import DAY, Story, World, full
from tuike import _core
from tuike.data import Data
from tuike.replay import replay
from tuike.replay.attribution import attribution
from tuike.replay.compare import MACHINES, OUTBOX
from tuike.stores import schema
from tuike.verify import verify

STEPS = 150


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_is_proved_replayed_and_decided_again_without_a_difference(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path)
    Story(world, seed).run(STEPS)
    world.proved()
    for report in (replay(world.data, 3), attribution(world.data, 3)):
        assert report.fault is None, report.text()
    world.stop()
    world.proved()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = full(tmp_path_factory.mktemp("full"))
    shutil.copy(world.data.books, world.data.root / "kept")
    return world


@pytest.fixture
def world(whole: World) -> Iterator[World]:
    """The same world for each test: what was changed in its books is taken back."""
    yield whole
    for end in ("-wal", "-shm"):
        whole.data.books.with_name(whole.data.books.name + end).unlink(missing_ok=True)
    shutil.copy(whole.data.root / "kept", whole.data.books)


def test_the_world_that_is_tampered_with_has_a_row_of_every_kind(world: World) -> None:
    empty = [table.name for table in schema.metadata.sorted_tables if not world.rows(select(table).limit(1))]
    assert sorted(empty) == sorted(["damage", "booked", *MACHINES, *OUTBOX])
    looked = [row for row in world.rows(select(schema.conversions)) if "second_look" in row["evidence"]]
    assert [row["order_id"] for row in looked] == ["s2"]
    assert {row["status"] for row in world.rows(select(schema.payouts))} == {"paid", "failed", "bounced"}
    world.proved()


def setting(table: str, column: str, value: str, where: str) -> str:
    return " ".join(("UPDATE", table, "SET", column, "=", value, "WHERE", where))


O1 = "(SELECT number FROM conversions WHERE order_id = 'o1')"
FIRST_DAY = "day 2025-10-09"

TAMPERED = [
    # the ledger
    ("UPDATE entries SET amount = amount + 1 WHERE transfer = 2 AND position = 1", "ledger", "transfer 2"),
    ("UPDATE entries SET amount = amount * 2 WHERE transfer = 2", "ledger", "transfer 2"),
    ("UPDATE entries SET position = 9 WHERE transfer = 2 AND position = 3", "ledger", "transfer 2"),
    ("UPDATE entries SET account = 999 WHERE transfer = 2 AND position = 1", "ledger", "transfer 2"),
    ("DELETE FROM entries WHERE transfer = 2", "ledger", "transfer 2"),
    ("INSERT INTO entries VALUES (999, 0, 1, 0)", "ledger", "transfer 999"),
    ("DELETE FROM transfers WHERE number = 1", "ledger", "transfer 2"),
    ("UPDATE transfers SET currency = 'USD' WHERE number = 2", "ledger", "transfer 2"),
    ("UPDATE transfers SET hash = zeroblob(32) WHERE number = 3", "ledger", "transfer 3"),
    ("UPDATE transfers SET conversion = 999 WHERE number = 3", "ledger", "transfer 3"),
    ("UPDATE accounts SET balance = 0 WHERE name = 'platform:cash'", "ledger", "account platform:cash CNY"),
    ("UPDATE accounts SET name = 'promoter:mallory:pending' WHERE id = 2", "ledger", "transfer 1"),
    ("UPDATE accounts SET currency = 'USD' WHERE id = 2", "ledger", "transfer 1"),
    ("DELETE FROM accounts WHERE id = 2", "ledger", "transfer 1"),
    # its days
    ("UPDATE transfers SET kind = 'prize' WHERE number = 1", "days", FIRST_DAY),
    ("UPDATE transfers SET at = at + 1 WHERE number = 1", "days", FIRST_DAY),
    ("UPDATE transfers SET step = 'x' WHERE number = 1", "days", FIRST_DAY),
    ("UPDATE conversions SET id = 'ff' WHERE order_id = 'o1'", "days", FIRST_DAY),
    ("UPDATE tiles SET root = zeroblob(32)", "days", f"{FIRST_DAY} tile 0"),
    ("UPDATE tiles SET leaves = 1", "days", f"{FIRST_DAY} tile 0"),
    ("DELETE FROM tiles", "days", f"{FIRST_DAY} tile 0"),
    ("INSERT INTO tiles SELECT day, 1, transfer, position, leaves, root FROM tiles", "days", f"{FIRST_DAY} tile 1"),
    ("UPDATE days SET root = '00'", "days", FIRST_DAY),
    ("UPDATE days SET leaves = leaves + 1", "days", FIRST_DAY),
    ("UPDATE days SET first = 2", "days", FIRST_DAY),
    ("UPDATE days SET last = 999", "days", FIRST_DAY),
    ("DELETE FROM days", "booked days", FIRST_DAY.removeprefix("day ")),
    # orders
    ("DELETE FROM conversions WHERE order_id = 'o1'", "ledger", "transfer"),
    ("DELETE FROM conversions WHERE order_id = 'o4'", "ledger", "transfer"),
    *[
        (setting("conversions", column, value, "order_id = 'o1'"), "orders", "conversion")
        for column, value in [
            ("merchant", "'other'"),
            ("order_id", "'other'"),
            ("product", "'silk'"),
            ("amount", "amount + 1"),
            ("currency", "'USD'"),
            ("status", "'rejected'"),
            ("refunded", "refunded + 1"),
            ("model", "'last'"),
            ("reason", "'no_touch'"),
            ("rule_version", "2"),
            ("stamp", "stamp + 1"),
            ("at", "at + 1"),
            ("day", "day + 1"),
            ("created", "created + 1"),
            ("due", "due + 1"),
            ("source", "'pixel'"),
            ("event_id", "'ff'"),
            ("evidence", "'{}'"),
        ]
    ],
    *[
        (setting("shares", column, value, f"conversion = {O1} AND position = 0"), "orders", "conversion")
        for column, value in [
            ("promoter", "'bob'"),
            ("level", "2"),
            ("via", "'bob'"),
            ("weight", "1"),
            ("original", "original + 1"),
            ("amount", "amount - 1"),
        ]
    ],
    (" ".join(("DELETE FROM shares WHERE conversion =", O1)), "orders", "conversion"),
    (" ".join(("DELETE FROM shares WHERE position = 1 AND conversion =", O1)), "orders", "conversion"),
    ("INSERT INTO shares VALUES (999, 0, 'alice', 1, 'alice', 1, 1, 1)", "orders", "shares of number 999"),
    ("UPDATE shares SET amount = amount - 1 WHERE original > amount AND amount > 1", "orders", "conversion"),
    # what follows from orders
    ("UPDATE sales SET net = net + 1 WHERE net > 0", "orders", "sales of conversion"),
    ("UPDATE sales SET booked = 1 WHERE net > 0", "orders", "sales of conversion"),
    ("DELETE FROM sales WHERE net > 0", "orders", "sales of conversion"),
    ("INSERT INTO sales VALUES ('alice', 'CNY', 1, 'shop', 999, 1, 1)", "orders", "sales of number 999"),
    ("UPDATE releases SET number = 1", "orders", "conversion"),
    ("DELETE FROM releases", "orders", "conversion"),
    ("UPDATE budgets SET amount = amount + 1", "budgets", "budget of silk CNY on 2025-10-09"),
    ("DELETE FROM budgets", "budgets", "budget of silk CNY on 2025-10-09"),
    ("UPDATE funding SET funded = funded + 1", "funding", "funding of merchant shop CNY"),
    ("UPDATE funding SET released = released + 1", "funding", "funding of merchant shop CNY"),
    ("DELETE FROM funding", "funding", "funding of merchant shop CNY"),
    ("DELETE FROM dues", "dues", "conversion"),
    ("UPDATE dues SET due = due + 1", "dues", "due of number"),
    ("UPDATE dues SET product = 'silk'", "dues", "due of number"),
    ("INSERT INTO dues VALUES (1, 999, 'shop', 'tea', 'CNY', 1)", "dues", "due of number 999"),
    ("UPDATE tiers SET tier = 'gold'", "booked", "tier of"),
    ("UPDATE tiers SET net = net + 1", "booked", "tier of"),
    ("DELETE FROM tiers", "booked", "tier of"),
    ("INSERT INTO tiers VALUES ('alice', 'CNY', 1, 'bronze', 0)", "booked", "table tiers"),
    ("UPDATE path_ends SET at = at + 1", "booked", "path end of number"),
    ("DELETE FROM path_ends", "booked", "path end of number"),
    ("INSERT INTO path_ends VALUES ('shop', 'ff', 1, 1)", "booked", "table path_ends"),
    ("DELETE FROM waiting", "waiting", "waiting refund"),
    ("UPDATE order_rollups SET sales = sales + 1", "order reports", "merchant shop product gift CNY"),
    ("DELETE FROM order_rollups", "order reports", "merchant shop product gift CNY"),
    # rules
    ("""UPDATE rules SET rule = replace(rule, '"5"', '"6"')""", "booked", "conversion"),
    ("UPDATE rules SET ceiling = 9999 WHERE product = 'gift'", "booked", "conversion"),
    ("UPDATE rules SET ceiling = 99999 WHERE product = 'tea'", "booked", "conversion"),
    ("UPDATE rules SET ceiling = -1", "booked", "conversion"),
    ("DELETE FROM rules WHERE product = 'tea'", "booked", "conversion"),
    # payments
    ("UPDATE payouts SET tax = tax + 1, net = net - 1 WHERE status = 'paid'", "payouts", "payout"),
    ("UPDATE payouts SET status = 'paid' WHERE status = 'failed'", "payouts", "payout"),
    ("UPDATE payouts SET detail = '{}', day = day + 1", "payouts", "payout"),
    ("UPDATE payouts SET detail = '{', day = day + 1", "payouts", "payout"),
    ("UPDATE payouts SET net = net + 1", "payouts", "payout"),
    ("UPDATE settlements SET amounts = '{'", "settlements", "settlement"),
    ("UPDATE conversions SET evidence = '{' WHERE order_id = 's2'", "booked", "conversion"),
    ("DELETE FROM payouts", "payouts", "transfer reserve:"),
    ("UPDATE contests SET winners = '[]'", "contests", "contest spring"),
    ("DELETE FROM contests", "contests", "contest spring"),
    ("DELETE FROM closings", "months", "month"),
    ("UPDATE closings SET number = 1", "months", "month"),
    ("UPDATE settlements SET released = released + 1", "settlements", "settlement"),
    ("DELETE FROM settlements", "settlements", "settlement"),
    # fraud
    ("UPDATE fraud_flags SET status = 'cleared' WHERE status = 'open'", "flags", "flag"),
    ("UPDATE fraud_flags SET decided_by = 'nobody' WHERE status = 'confirmed'", "flags", "flag"),
    ("DELETE FROM fraud_flags WHERE status = 'open'", "flags", "fraud_flags"),
    ("UPDATE conversions SET status = 'approved' WHERE order_id = 'f2'", "orders", "conversion"),
    ("DELETE FROM bad_touches", "flags", "bad_touches"),
    ("UPDATE promoter_purchases SET buyer = 'alice'", "flags", "promoter_purchases"),
    ("UPDATE promoter_hours SET clicks = clicks + 1", "promoters' hours", "alice"),
    # hits and messages
    ("DELETE FROM outcomes WHERE kind = 'order'", "journal", "event"),
    ("UPDATE outcomes SET status = 'lost' WHERE kind = 'order'", "journal", "event"),
    ("UPDATE outcomes SET status = 'set_aside', code = '' WHERE kind = 'order'", "journal", "event"),
    ("UPDATE refused SET code = 'bad_amount'", "refused", "refused postback"),
    ("DELETE FROM set_aside_sums", "metrics", "amount_conflict"),
    ("UPDATE level_sums SET commission = commission + 1 WHERE level = 1", "metrics", "gift"),
    ("UPDATE hit_counts SET hits = hits + 1", "journal", "outcome"),
    ("DELETE FROM hit_counts", "journal", "outcome"),
    ("UPDATE rollups SET clicks = 0", "hit reports", "all hits"),
    ("INSERT INTO damage VALUES ('0', 1, 'edge-0', 5, 0)", "damage", "journal edge-0/0 byte 1"),
    ("UPDATE meta SET value = value + 1 WHERE key = 'books_number'", "booked", "of the books"),
]


@pytest.mark.parametrize(("statement", "check", "place"), TAMPERED)
def test_what_was_tampered_with_is_named(world: World, statement: str, check: str, place: str) -> None:
    assert world.change(statement) > 0
    fault = verify(world.data).fault
    assert fault is not None
    assert (fault.check, place in fault.place) == (check, True), fault


@pytest.mark.parametrize(("credited", "check"), [(5, "booked"), (6, "ledger")], ids=["balanced", "unbalanced"])
def test_a_forged_transfer_that_fits_the_chain_is_named(world: World, credited: int, check: str) -> None:
    """Balanced, it is not in the journal."""
    last = world.rows(select(schema.transfers).order_by(schema.transfers.c.number.desc()).limit(1))[0]
    number = last["number"] + 1
    lines = [("merchant:shop:payable", -5), ("promoter:alice:pending", credited)]
    (hash,) = _core.chain_hashes(last["hash"], number, [("CNY", lines)])
    forged = (number, 0, "x", "adjust", "CNY", 0, hash)
    world.change(insert(schema.transfers).values(forged))
    accounts = schema.accounts
    for position, (name, amount) in enumerate(lines):
        (account,) = world.rows(select(accounts.c.id).where(accounts.c.name == name))
        world.change(insert(schema.entries).values((number, position, account["id"], amount)))
        world.change(update(accounts).where(accounts.c.name == name).values(balance=accounts.c.balance + amount))
    fault = verify(world.data).fault
    assert fault is not None
    assert (fault.check, fault.place) == (check, f"transfer {number}"), fault


@pytest.mark.parametrize(("producer", "check"), [("books", "booked"), ("edge-0", "journal"), ("admin", "journal")])
def test_a_journal_that_is_gone_is_missed(world: World, producer: str, check: str) -> None:
    kept = world.data.root / "moved"
    shutil.move(world.data.journal / producer, kept)
    try:
        fault = verify(world.data).fault
    finally:
        shutil.move(kept, world.data.journal / producer)
    assert fault is not None
    assert fault.check == check, fault


def test_an_instance_that_never_ran_has_no_books_to_prove(tmp_path: Path) -> None:
    data = Data.open(tmp_path / "data", create=True)
    assert verify(data).text() == replay(data, 3).text() == "ok     no books yet"


def test_a_running_instance_is_proved_as_it_stands(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shop()
    world.promoters()
    world.click("alice")
    world.order("o1")
    world.drain()
    world.now += DAY
    world.order("o2")
    world.proved()
    assert replay(world.data, 3).fault is None
    world.drain()
    world.proved()
    world.stop()
