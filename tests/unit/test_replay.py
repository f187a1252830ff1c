"""replay and verify --attribution: the journal makes the same books again; what came late is told."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, update

from proof_kit import DAY, MINUTE, TIERED, World, clicked, full
from tuike.books.bookkeeper import NUMBER_KEY
from tuike.books.state import Registry
from tuike.data import Data
from tuike.faults import Found
from tuike.replay import replay
from tuike.replay.attribution import attribution
from tuike.replay.compare import NOT_DERIVED, PASSED_OVER, compare
from tuike.replay.logs import log_of
from tuike.replay.rebuild import fresh, rebuild_books, rebuild_hits, untold
from tuike.replay.what_if import CannotBe, Change, what_if
from tuike.stores import engine, meta, position, schema

MINIMUM = {"CNY": 100}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return clicked(tmp_path)


def test_the_journal_makes_the_same_books_again(tmp_path: Path) -> None:
    world = full(tmp_path)
    before = world.data.books.read_bytes()
    report = replay(world.data, 3)
    assert report.fault is None, report.text()
    assert report.proved[-1].startswith("no difference")
    assert world.data.books.read_bytes() == before
    assert list(world.data.run.glob("replay-*")) == []


def changed(value: Any) -> Any:
    """Something else of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return bytes(3) if isinstance(value, bytes) else "other"


def test_any_column_of_any_table_that_differs_is_named(tmp_path: Path) -> None:
    world = full(tmp_path)
    books, root = engine.open_reader(world.data.database), str(world.data.journal)
    with books.begin() as live:
        number = int(meta.read(live, NUMBER_KEY) or 0)
        folded = position.read(live, "hits").upto
        log = log_of(live, root)
    books.dispose()
    shutil.copy(world.data.books, world.data.root / "kept")
    with fresh(world.data) as (_, made):
        rebuild_books(made, log, root, number, 3, untold)
        rebuild_hits(made, root, folded)
        for table in schema.metadata.sorted_tables:
            if table.name in NOT_DERIVED or table.name == "damage":
                continue
            (row,) = world.rows(select(table).limit(1))
            where = [column == row[column.name] for column in table.primary_key.columns]
            passed_over = {
                *PASSED_OVER.get(table.name, ()),
                *[column.name for column in table.primary_key.columns],
                "visitors",
            }
            for name in [column.name for column in table.columns if column.name not in passed_over]:
                assert world.change(update(table).where(*where).values({name: changed(row[name])})) == 1
                found = differing(world, made)
                assert found.place.startswith(f"{table.name} "), (table.name, name, found)
                assert found.detail.startswith(f"{name} is "), (table.name, name, found)
            assert world.change(delete(table).where(*where)) == 1
            found = differing(world, made)
            assert found.place.startswith(f"{table.name} ") and "lack" in found.detail, found


def differing(world: World, made: Engine) -> Found:
    """What the comparison finds; then the books are put back."""
    books = engine.open_reader(world.data.database)
    with books.begin() as live, made.begin() as again, pytest.raises(Found) as found:
        compare(live, again)
    books.dispose()
    _put_back(world.data)
    return found.value


def _put_back(data: Data) -> None:
    for end in ("-wal", "-shm"):
        data.books.with_name(data.books.name + end).unlink(missing_ok=True)
    shutil.copy(data.root / "kept", data.books)


@pytest.mark.parametrize("producer", ["books", "admin"])
def test_what_the_journal_lacks_is_named(tmp_path: Path, producer: str) -> None:
    world = full(tmp_path)
    shutil.rmtree(world.data.journal / producer)
    fault = replay(world.data, 3).fault
    assert fault is not None
    assert "the journal does not have it" in fault.detail


# --- credit ----------------------------------------------------------------------------------------


def late(world: World, *clicks: tuple[str, int]) -> list[str]:
    """An edge that was silent comes back with clicks (promoter, ms ago); their ids."""
    edge = world.producer("edge-1")
    edge.writer.tick(world.now)
    world.now += 2 * MINUTE
    world.order("o1")
    world.drain()
    assert world.rows(select(schema.conversions)), "a silent producer holds nobody up"
    ids = []
    for promoter, ago in clicks:
        fields = {"kind": "click", "aff": promoter, "pid": "tea", "merchant": "shop", "counted": True}
        at = world.now - ago
        ids += edge.append(at, fields | {"visitor": f"{1:032x}"})
    edge.writer.close(world.now)
    world.drain()
    world.stop()
    return ids


def test_a_click_that_came_late_is_told_with_the_order_that_it_would_have_credited(world: World) -> None:
    (click,) = late(world, ("dave", MINUTE))
    report = attribution(world.data, 3)
    assert report.fault is None, report.text()
    assert [(late.order_id, late.clicks) for late in report.late] == [("o1", (click,))]
    assert click in report.text()


def test_a_late_click_that_changes_no_credit_is_not_told(world: World) -> None:
    late(world, ("alice", MINUTE))
    report = attribution(world.data, 3)
    assert (report.fault, report.late) == (None, [])
    assert "1 the same with other touches" in report.text()


def test_a_late_click_has_changed_nothing_in_the_books(world: World) -> None:
    late(world, ("dave", MINUTE))
    assert world.balances()["promoter:alice:pending"] == 500
    assert replay(world.data, 3).fault is None
    world.proved()


def test_a_credit_that_no_late_click_explains_is_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "chain", lambda self, promoter, instant, levels: [promoter])
        world.order("o1")
        world.drain()
    world.stop()
    fault = attribution(world.data, 3).fault
    assert fault is not None
    (order,) = world.rows(select(schema.conversions))
    assert fault.place == f"conversion {order['id']}"


def test_each_order_is_decided_by_the_registry_of_its_place_in_the_books(world: World) -> None:
    world.order("o1")
    world.drain()
    world.ask("product.update", id="tea", commission={"type": "percentage", "value": "1"})
    world.ask("promoter.update", id="bob", status="blocked")
    world.ask("promoter.parent", id="alice", parent="dave", reason="test")
    world.drain()
    world.order("o2")
    world.stop()
    assert attribution(world.data, 3).fault is None


# --- what another rule or model would have paid ----------------------------------------------------


def paid(rows: Any) -> dict[tuple[str, str, str], tuple[str, str, str]]:
    """What was paid, would have been, and the difference, by promoter, level and product."""
    return {(row[0], row[1], row[2]): row[4:] for row in rows}


def test_another_rule_is_compared_per_promoter_level_and_product(world: World) -> None:
    world.shop(id="silk")
    world.order("o1")
    world.order("o2", pid="silk")
    world.stop()
    before = world.data.books.read_bytes()
    rule = {"type": "percentage", "value": "8"}
    table = list(what_if(world.data, Change(rule, product="tea"), 3, MINIMUM).rows())
    assert table[0] == ("promoter", "level", "product", "currency", "paid", "would", "difference")
    found = paid(table[1:])
    assert found["alice", "1", "tea"] == ("5.00", "8.00", "3.00")
    assert found["bob", "2", "tea"] == ("3.00", "0.00", "-3.00")
    assert found["alice", "1", "silk"] == ("5.00", "5.00", "0.00")
    assert found["(all promoters)", "", ""] == ("18.00", "17.00", "-1.00")
    assert world.data.books.read_bytes() == before


def test_another_model_is_compared(world: World) -> None:
    world.click("dave")
    world.drain()
    world.now += MINUTE
    world.order("o1")
    world.stop()
    before = world.data.books.read_bytes()
    found = paid(what_if(world.data, Change(model="first"), 3, MINIMUM).rows())
    assert found["alice", "1", "tea"] == ("0.00", "5.00", "5.00")
    assert found["dave", "1", "tea"] == ("5.00", "0.00", "-5.00")
    assert world.data.books.read_bytes() == before


def test_another_rule_takes_the_place_of_every_version(world: World) -> None:
    world.order("o1")
    world.drain()
    world.ask("product.update", id="tea", commission={"type": "percentage", "value": "1"})
    world.drain()
    world.order("o2")
    world.stop()
    rule = {"type": "percentage", "value": "2"}
    found = paid(what_if(world.data, Change(rule), 3, MINIMUM).rows())
    assert found["alice", "1", "tea"] == ("6.00", "4.00", "-2.00")


def test_refunds_and_settlements_happen_again_under_another_rule(tmp_path: Path) -> None:
    world = full(tmp_path)
    same = {"type": "percentage", "value": "10", "levels": [{"level": n, "value": str(7 - 2 * n)} for n in (1, 2, 3)]}
    comparison = what_if(world.data, Change(TIERED, product="silk"), 3, MINIMUM)
    assert comparison.paid == comparison.would, comparison.text()
    assert comparison.orders[0] == comparison.orders[1]
    assert what_if(world.data, Change(same, product="tea"), 3, MINIMUM).paid == comparison.paid


def test_a_late_click_does_not_count_in_what_would_have_been(world: World) -> None:
    late(world, ("dave", MINUTE))
    comparison = what_if(world.data, Change({"type": "percentage", "value": "10"}), 3, MINIMUM)
    assert paid(comparison.rows())["alice", "1", "tea"] == ("5.00", "10.00", "5.00")


def test_what_cannot_be_asked_for_is_refused(world: World, tmp_path: Path) -> None:
    world.stop()
    file = tmp_path / "rule.json"
    for change, text in (
        (Change({"type": "percentage", "value": "80"}), "product 'tea' cannot have this rule: above_ceiling"),
        (Change({"type": "percentage", "value": "8"}, product="milk"), "there is no product 'milk'"),
    ):
        with pytest.raises(CannotBe, match=text):
            what_if(world.data, change, 3, MINIMUM)
    file.write_text("[1]")
    with pytest.raises(CannotBe, match="no JSON object"):
        Change.of_files(file, None, None, None)


def test_days_that_pass_change_nothing_in_a_replay(world: World) -> None:
    for day in range(3):
        world.order(f"o{day}")
        world.drain()
        world.now += DAY
        world.drain()
    world.stop()
    assert len(world.rows(select(schema.days))) == 3
    assert replay(world.data, 3).fault is None
