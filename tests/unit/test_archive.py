"""The archive: finished days as Parquet with the numbers of the books, the same whenever they are written, without
whoever is to be forgotten; and what may be asked of it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from proof_kit import DAY, HOUR, START, World
from tuike import archive_commands, retention
from tuike.archive import forgetting, running
from tuike.archive.querying import QueryError, query
from tuike.archive.tables import TABLES
from tuike.books.settings import DAY_MS
from tuike.data import DataError
from tuike.erasing import RETRY_MS
from tuike.faults import Found
from tuike.stores import engine, schema
from tuike.verify import verify

ABOUT = {"cust": "carla-7788", "referrer": "https://blog.example/tea", "prefix": "192.0.2.0/24", "address": "a" * 32}
PLAIN = {"INT64", "BYTE_ARRAY", "BOOLEAN"}


class Archived(World):
    """Three days: clicks, a bot and an unknown code, orders, a refund; the third is under way."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.shop()
        self.promoters()
        self.click("alice", 1, sub1="red", channel="web", **ABOUT)
        self.click("dave", 2)
        self.click("dave", 2, counted=False, reason="bot", bot=True)
        self.click("nobody", 3, counted=False, reason="unknown_promoter")
        self.drain()
        self.now += HOUR
        self.order("o-1", 10_000, 1, cust="carla-7788")
        self.order("o-2", 5_000, 2)
        self.drain()
        self.now += DAY
        self.click("bob", 1, kind="view", **ABOUT)
        self.order("o-3", 7_000, 2)
        self.order("o-4", 100, 9)
        self.drain()
        self.settle()
        self.now += DAY
        self.click("bob", 4)
        self.drain()

    def archive(self) -> list[tuple[str, str, int]]:
        """What was written."""
        written: list[tuple[str, str, int]] = []
        running.archive(self.data, self.processor.watermark, lambda *told: written.append(told))
        return written

    def ask_archive(self, sql: str) -> list[dict[str, Any]]:
        parts: list[bytes] = []
        query(self.data.archive, sql, "ndjson", parts.append)
        return [json.loads(line) for line in b"".join(parts).splitlines()]

    def content(self) -> dict[str, Any]:
        return {table.name: self.ask_archive(f"SELECT * FROM {table.name}") for table in TABLES}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Archived]:
    world = Archived(tmp_path)
    yield world
    world.processor.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Archived:
    """One that has ended, for those who change nothing."""
    world = Archived(tmp_path_factory.mktemp("archive"))
    world.stop()
    world.archive()
    return world


def test_finished_days_are_written_once_with_what_the_books_have(kept: Archived) -> None:
    first, second = "2025-10-09", "2025-10-10"
    shutil.rmtree(kept.data.archive)
    assert kept.archive() == [
        ("hits", first, 4),
        ("hits", second, 1),
        ("conversions", first, 2),
        ("conversions", second, 2),
        ("transfers", first, 8),
        ("transfers", second, 13),
    ]
    assert kept.archive() == []
    hits = kept.ask_archive("SELECT day, outcome, count(*) AS n FROM hits GROUP BY ALL ORDER BY ALL")
    assert [(row["outcome"], row["n"]) for row in hits if row["day"] == first] == [
        ("bot", 1),
        ("counted", 2),
        ("unknown_promoter", 1),
    ]
    sold = kept.ask_archive("SELECT promoter, sum(amount)::BIGINT AS sold FROM conversions GROUP BY ALL ORDER BY ALL")
    assert sold == [
        {"promoter": "", "sold": 100},
        {"promoter": "alice", "sold": 10_000},
        {"promoter": "dave", "sold": 12_000},
    ]
    lines = kept.ask_archive("SELECT promoter, sum(amount)::BIGINT AS paid FROM shares GROUP BY ALL ORDER BY ALL")
    paid = kept.rows(
        select(schema.shares.c.promoter, func.sum(schema.shares.c.amount).label("paid")).group_by("promoter")
    )
    assert lines == sorted(paid, key=lambda row: row["promoter"])
    (ledger,) = kept.ask_archive("SELECT count(*) AS n, sum(amount)::BIGINT AS left FROM transfers")
    assert ledger == {"n": 21, "left": 0}
    (alice,) = kept.ask_archive("SELECT time, visitor, customer, sub1 FROM hits WHERE promoter = 'alice'")
    assert alice == {
        "time": "2025-10-09T08:53:20.002Z",
        "visitor": f"{1:032x}",
        "customer": "carla-7788",
        "sub1": "red",
    }


def test_files_have_plain_types_and_nothing_of_an_address(kept: Archived) -> None:
    for path in sorted(kept.data.archive.rglob("*.parquet")):
        assert path.stat().st_mode & 0o077 == 0
        types = duckdb.execute("SELECT name, type, converted_type FROM parquet_schema(?)", [str(path)]).fetchall()
        assert {type for _, type, _ in types[1:]} <= PLAIN
        assert {of for _, _, of in types[1:]} <= {"UTF8", "INT_64", "TIMESTAMP_MICROS", None}
        assert not {"address", "prefix", "fingerprint", "agent"} & {name for name, _, _ in types}
        assert b"192.0.2." not in path.read_bytes()
    assert not list(kept.data.archive.glob("_work-*"))


def test_the_same_day_written_again_is_the_same(kept: Archived) -> None:
    before = {path: path.read_bytes() for path in kept.data.archive.rglob("*.parquet")}
    shutil.rmtree(kept.data.archive)
    kept.archive()
    assert {path: path.read_bytes() for path in kept.data.archive.rglob("*.parquet")} == before


def test_a_refund_and_a_late_hit_write_their_days_again(world: Archived) -> None:
    world.archive()
    world.order("o-1", 2_500, 1, status="refunded", refund_id="r-1")
    world.click("dave", 7, at=START + HOUR)
    world.drain()
    assert world.archive() == [("hits", "2025-10-09", 5), ("conversions", "2025-10-09", 2)]
    (order,) = world.ask_archive("SELECT refunded, commission FROM conversions WHERE order_id = 'o-1'")
    assert order == {"refunded": 2_500, "commission": 675}
    assert world.archive() == []


def test_what_a_killed_run_has_left_is_passed_over_and_taken_away(world: Archived) -> None:
    folder = world.data.archive / "hits" / "day=2025-10-09"
    folder.mkdir(parents=True)
    (folder / "_hits.parquet.new").write_bytes(b"half")
    (world.data.archive / "_work-x").mkdir()
    assert world.ask_archive("SELECT * FROM hits") == []
    assert len(world.archive()) == 6
    assert [path.name for path in folder.iterdir()] == ["hits.parquet"]
    assert not list(world.data.archive.glob("_work-*"))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE hit_days SET clicks = clicks + 1 WHERE promoter = 'alice'",
            "2025-10-09 shop tea alice web: .*clicks -1",
        ),
        ("DELETE FROM hit_days WHERE promoter = 'dave'", "2025-10-09 shop tea dave: .*clicks .1, bots .1"),
        ("UPDATE order_days SET sales = sales - 1 WHERE promoter = 'alice'", "shop tea alice web CNY: .*sales .1"),
        (
            "UPDATE entries SET amount = amount + 1 WHERE transfer = 1 AND position = 0",
            "transfer 1: its entries sum to 1",
        ),
        (
            "UPDATE days SET leaves = leaves + 1 WHERE day = 20370",
            "2025-10-09: 8 entries of the ledger, its tree has 9",
        ),
    ],
)
def test_a_day_with_other_sums_than_the_books_gets_no_name(kept: Archived, statement: str, said: str) -> None:
    archive, books = kept.data.archive, kept.data.root / "aside.sqlite"
    shutil.copy(kept.data.books, books)
    shutil.rmtree(archive)
    try:
        assert kept.change(statement) > 0
        with pytest.raises(Found, match=said):
            kept.archive()
        table = "hits" if "hit_" in statement else "conversions" if "order_" in statement else "transfers"
        assert not list(archive.glob(f"{table}/*/*.parquet"))
    finally:
        books.replace(kept.data.books)
        kept.archive()


def erased(world: Archived) -> list[str]:
    return [row["state"] for row in world.rows(select(schema.erasures.c.state))]


def finish(world: Archived) -> None:
    """Time passes until every erasure has come to its end."""
    for _ in range(200):
        if set(erased(world)) == {"done"}:
            return
        world.now += RETRY_MS
        world.drain()
        if world.processor._journals._work is not None:
            world.processor._journals._work.exception()
    raise AssertionError(erased(world))


def test_an_erasure_reaches_the_days_that_are_archived(world: Archived) -> None:
    world.archive()
    others = [row for row in world.content()["hits"] if row["visitor"] != f"{1:032x}"]
    world.forget(1)
    finish(world)
    rows = world.content()["hits"]
    assert [row for row in rows if row["customer"] == "" and row["promoter"] != "alice"] == others
    mine = [row for row in rows if row["customer"]]
    assert len(mine) == 2
    assert len({row["visitor"] for row in mine}) == 1
    for path in world.data.archive.rglob("*.parquet"):
        assert not {
            needle for needle in (b"carla-7788", b"blog.example", f"{1:032x}".encode()) if needle in path.read_bytes()
        }
    assert all(row["referrer"] == "" and row["customer"].startswith("\x7f") for row in mine)
    # the journal says the same now
    before = world.content()
    shutil.rmtree(world.data.archive)
    world.archive()
    assert world.content() == before
    assert verify(world.data).fault is None


def test_a_customer_is_erased_by_merchant_and_name(world: Archived) -> None:
    world.archive()
    body = json.dumps({"op": "person.erase", "data": {}, "actor": "test"}).encode()
    world.admin.append(world.now, {"kind": "registry", "merchant": "shop", "cust": "carla-7788", "body": body})
    world.drain()
    finish(world)
    assert not world.ask_archive(f"SELECT 1 FROM hits WHERE customer = 'carla-7788' OR visitor = '{1:032x}'")


def test_an_erasure_waits_for_whoever_archives(world: Archived) -> None:
    world.archive()
    with world.data.lock(forgetting.LOCK):
        world.forget(1)
        for _ in range(3):
            world.now += RETRY_MS
            world.drain()
            if world.processor._journals._work is not None:
                world.processor._journals._work.exception()
        assert erased(world) == ["journals"]
    finish(world)
    assert not world.ask_archive(f"SELECT 1 FROM hits WHERE visitor = '{1:032x}'")


def test_what_is_archived_while_an_erasure_is_under_way_has_nobody_of_it(world: Archived) -> None:
    """The journal's segments are not all written again yet."""
    world.forget(1)
    assert erased(world) == ["journals"]
    world.archive()
    assert not world.ask_archive(f"SELECT 1 FROM hits WHERE visitor = '{1:032x}' OR customer = 'carla-7788'")


def test_hits_past_their_keeping_are_nobodys_in_the_archive_too(world: Archived) -> None:
    world.archive()
    after = world.now // DAY_MS * DAY_MS - DAY
    retention.end(world.data, after, lambda incarnation: 2**63)
    rows = world.ask_archive("SELECT day, visitor, customer, referrer FROM hits ORDER BY day")
    assert [bool(row["visitor"]) for row in rows] == [False] * 4 + [True]
    assert not any(row["customer"] or row["referrer"] for row in rows[:4])
    kept = world.content()
    shutil.rmtree(world.data.archive)
    books = engine.open_writer(world.data.database)
    with books.begin() as connection:
        retention.note(connection, 1, DAY, after + DAY)
    books.dispose()
    world.archive()
    assert world.content() == kept


REFUSED = [
    ("COPY hits TO '{data}/out.csv'", "only SELECT is answered, not COPY"),
    ("COPY hits TO '{data}/archive/out.csv'", "only SELECT is answered, not COPY"),
    ("SELECT 1; SELECT 2", "one query at a time, not 2"),
    ("", "one query at a time, not 0"),
    ("SET enable_external_access = true", "only SELECT is answered, not SET"),
    ("ATTACH '{data}/books.sqlite'", "only SELECT is answered, not ATTACH"),
    ("CREATE TABLE t AS SELECT 1", "only SELECT is answered, not CREATE"),
    ("SELECT * FROM read_text('{data}/secret')", "file system operations are disabled"),
    ("SELECT * FROM '{data}/archive/../secret'", "disabled|does not exist"),
    ("SELECT * FROM read_text('{data}/archive/../secret')", "file system operations are disabled"),
    ("SELECT * FROM glob('{data}/*')", "disabled"),
    ("SELECT * FROM read_csv('https://127.0.0.1/x.csv')", "disabled|httpfs"),
    ("SELECT nothing FROM hits", 'Referenced column "nothing" not found'),
    ("SELEC 1", "syntax error"),
]


@pytest.mark.parametrize(("sql", "said"), REFUSED)
def test_a_query_reads_the_archive_and_nothing_else(kept: Archived, sql: str, said: str) -> None:
    files = sorted(kept.data.root.rglob("*"))
    with pytest.raises(QueryError, match=said) as caught:
        kept.ask_archive(sql.replace("{data}", str(kept.data.root)))
    assert "\n" not in str(caught.value)
    assert sorted(kept.data.root.rglob("*")) == files


def test_answers_are_a_table_csv_or_documents(kept: Archived) -> None:
    asked = "SELECT promoter, count(*) AS hits, max(time) AS last FROM hits GROUP BY ALL ORDER BY promoter LIMIT 2"

    def told(format: Any) -> str:
        parts: list[bytes] = []
        query(kept.data.archive, asked, format, parts.append)
        return b"".join(parts).decode()

    assert told("table").splitlines() == [
        "promoter  hits  last",
        "--------  ----  ------------------------",
        "alice        1  2025-10-09T08:53:20.002Z",
        "bob          1  2025-10-10T09:53:20.004Z",
    ]
    nothing: list[bytes] = []
    query(kept.data.root / "none", asked, "table", nothing.append)
    assert b"".join(nothing) == b"promoter  hits  last\n--------  ----  ----\n", "nothing is archived yet"
    assert told("csv").splitlines()[1] == "alice,1,2025-10-09T08:53:20.002Z"
    assert json.loads(told("ndjson").splitlines()[1]) == {
        "promoter": "bob",
        "hits": 1,
        "last": "2025-10-10T09:53:20.004Z",
    }


def test_without_duckdb_the_extra_is_named(kept: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(DataError, match=r"pip install 'tuike\[archive\]'"):
        query(kept.data.archive, "SELECT 1", "csv", lambda _: None)
    with pytest.raises(DataError, match=r"pip install 'tuike\[archive\]'"):
        kept.archive()


def test_a_command_says_that_nobody_knows_what_is_finished(kept: Archived) -> None:
    done = CliRunner().invoke(archive_commands.archive, ["--data", str(kept.data.root)])
    assert isinstance(done.exception, DataError)
    assert "the processor does not run" in str(done.exception)
