"""The database on each engine: migrations, positions, sums of hits. The data directory and its locks."""

import os
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Column, Engine, MetaData, Table, bindparam, delete, func, insert, inspect, select
from sqlalchemy.exc import DBAPIError

from tuike.data import Data, DataError
from tuike.stores import bulk, engine, meta, migrations, position, rollups, schema
from tuike.stores.bulk import stream
from tuike.stores.dialects import further
from tuike.stores.position import PositionMoved

# --- engines ---------------------------------------------------------------------------------------


def test_sqlites_writer_takes_the_lock_as_it_begins(tmp_path: Path) -> None:
    writer = engine.writer(tmp_path / "books.sqlite")
    other = sqlite3.connect(tmp_path / "books.sqlite", timeout=0)
    with writer.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_sqlites_writer_is_durable(tmp_path: Path) -> None:
    with engine.writer(tmp_path / "books.sqlite").begin() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_what_comes_after_a_pair_is_read_from_there(writer: Engine) -> None:
    entries = schema.entries
    pair = further(entries.c.transfer, entries.c.position, 900, 1)
    with writer.begin() as connection:
        bulk.inserting(entries).run(connection, [(n, place, 1, 1) for n in range(1_000) for place in range(3)])
    with writer.begin() as connection:
        counts = [select(func.count()).select_from(entries).where(which) for which in (pair, ~pair)]
        assert [connection.scalar(count) for count in counts] == [298, 2_702]
        if writer.dialect.name == "mysql":
            connection.exec_driver_sql("ANALYZE TABLE entries").all()
            asked = select(entries.c.amount).where(pair).order_by(entries.c.transfer, entries.c.position).limit(9)
            text = str(asked.compile(writer, compile_kwargs={"literal_binds": True}))
            assert connection.exec_driver_sql(f"EXPLAIN {text}").one().type == "range"


def test_a_reader_reads_only(writer: Engine, database: URL) -> None:
    reader = engine.open_reader(database)
    with reader.begin() as connection, pytest.raises(DBAPIError, match=r"(?i)read.?only"):
        connection.execute(insert(schema.meta).values(key="a", value="b"))
    reader.dispose()


def test_a_reader_sees_one_snapshot(writer: Engine, database: URL) -> None:
    count = select(func.count()).select_from(schema.meta)
    reader = engine.open_reader(database)
    with reader.begin() as reading:
        assert reading.scalar(count) == 0
        with writer.begin() as writing:
            writing.execute(insert(schema.meta).values(key="a", value="b"))
        assert reading.scalar(count) == 0
    with reader.begin() as reading:
        assert reading.scalar(count) == 1
    reader.dispose()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("books", "'books' is no URL such as postgresql://"),
        ("oracle://h/n", r"oracle://h/n is none of postgresql://HOST/NAME"),
        ("mysql://u:secret@h", r"mysql://u:\*\*\*@h is none of"),
    ],
)
def test_a_url_that_names_no_database_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        engine.parse(text)


def test_a_driver_that_is_not_installed_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda module: None)
    with pytest.raises(DataError, match=r"postgresql needs a driver .*: pip install 'tuike\[postgresql\]'"):
        engine.parse("postgresql://h/n")


def test_a_failed_transaction_leaves_nothing(writer: Engine) -> None:
    with pytest.raises(RuntimeError), writer.begin() as connection:
        connection.execute(insert(schema.meta).values(key="a", value="b"))
        raise RuntimeError
    with writer.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.meta)) == 0


# --- migrations ------------------------------------------------------------------------------------


def test_a_database_of_the_first_release_keeps_its_rows(database: URL) -> None:
    """One row in each table, with something in every column."""
    books = engine.open_writer(database)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with books.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    first = MetaData()
    first.reflect(books)
    tables = [table for table in first.sorted_tables if table.name != "alembic_version"]
    assert len(tables) > 20
    with books.begin() as connection:
        for table in tables:
            connection.execute(insert(table).values({column.name: _something(column) for column in table.columns}))
        before = {table.name: connection.execute(select(table)).mappings().all() for table in tables}
    migrations.upgrade(books)
    with books.begin() as connection:
        for table in tables:
            assert connection.execute(select(table)).mappings().all() == before[table.name], table.name
    books.dispose()


def _something(column: Column[Any]) -> object:
    """A value of the column's type, the same for each of that type; amounts of 0 keep their rules."""
    number = int(column.primary_key or bool(column.foreign_keys))
    return {str: "1", bytes: b"1"}.get(column.type.python_type, number)


def test_the_migrations_make_the_schema(writer: Engine) -> None:
    with writer.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_migrating_again_changes_nothing(writer: Engine) -> None:
    def state() -> tuple[object, ...]:
        with writer.begin() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
            return revision, inspect(connection).get_table_names(), meta.read(connection, "kept")

    with writer.begin() as connection:
        meta.write(connection, "kept", "as it was")
    before = state()
    assert before[2] == "as it was"
    migrations.upgrade(writer)
    assert state() == before


def test_a_first_start_that_was_killed_is_done_again(database: URL) -> None:
    writer = engine.open_writer(database)
    with writer.begin() as connection:
        if connection.dialect.name == "mysql":  # the others make all tables or none
            schema.metadata.create_all(connection, [schema.meta, schema.transfers])
    migrations.upgrade(writer)
    with writer.begin() as connection:
        assert {"meta", "waiting"} <= set(inspect(connection).get_table_names())
    writer.dispose()


def test_two_that_start_at_once_make_the_tables_once(database: URL) -> None:
    if database.get_backend_name() == "sqlite":
        pytest.skip("one processor holds the data directory's lock")
    writers = [engine.open_writer(database) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrations.upgrade, writers))
    for writer in writers:
        writer.dispose()


def test_texts_have_the_order_of_their_bytes_and_keep_their_spaces(writer: Engine) -> None:
    keys = ["B", "a", "a ", "Z", "b", "é", "z", "中", "A", "_"]
    with writer.begin() as connection:
        connection.execute(insert(schema.meta), [{"key": key, "value": ""} for key in keys])
        found = list(connection.scalars(select(schema.meta.c.key).order_by(schema.meta.c.key)))
    assert found == sorted(keys, key=str.encode)


def test_a_database_of_a_newer_program_is_refused(writer: Engine, database: URL) -> None:
    with writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    other = engine.open_writer(database)
    # the first keeps its connection: whoever comes next does not wait for it
    for refused in (writer, other):
        with pytest.raises(
            DataError, match=r"(books\.sqlite|t\d+): written by a newer tuike \(schema 9999\); upgrade tuike"
        ):
            migrations.upgrade(refused)
    other.dispose()


# --- positions -------------------------------------------------------------------------------------


def test_a_position_moves_by_compare_and_set(writer: Engine) -> None:
    with writer.begin() as connection:
        seen = position.read(connection, "hits")
        moved = position.advance(connection, seen, {2**64 - 1: 7})
    assert (seen.upto, moved.upto) == ({}, {2**64 - 1: 7})
    with writer.begin() as connection:
        assert position.read(connection, "hits") == moved
        assert position.read(connection, "books").upto == {}


@pytest.mark.parametrize("moves", [0, 1])
def test_whoever_saw_an_older_position_writes_nothing(writer: Engine, moves: int) -> None:
    with writer.begin() as connection:
        seen = position.read(connection, "hits")
        for seq in range(moves):
            seen = position.advance(connection, seen, {1: seq})
    with writer.begin() as connection:
        position.advance(connection, seen, {1: 10})
    with pytest.raises(PositionMoved), writer.begin() as connection:
        connection.execute(insert(schema.meta).values(key="a", value="b"))
        position.advance(connection, seen, {1: 11})
    with writer.begin() as connection:
        assert position.read(connection, "hits").upto == {1: 10}
        assert connection.scalar(select(func.count()).select_from(schema.meta)) == 0


def test_a_partition_moves_alone_and_keeps_its_marks(writer: Engine) -> None:
    with writer.begin() as connection:
        first = position.advance(connection, position.read(connection, "hits", 7), {1: 5}, marks={1: 900}, token=3)
        position.advance(connection, position.read(connection, "hits", 8), {1: 6})
    with writer.begin() as connection:
        assert position.read(connection, "hits", 7) == first
        assert (first.marks, first.token) == ({1: 900}, 3)
        assert position.read(connection, "hits").version == 0
        assert {(kept.fold, kept.partition): dict(kept.upto) for kept in position.read_all(connection)} == {
            ("hits", 7): {1: 5},
            ("hits", 8): {1: 6},
        }


def test_touches_ahead_of_the_sums_are_no_part_of_what_is_wholly_applied(writer: Engine) -> None:
    with writer.begin() as connection:
        position.advance(connection, position.read(connection, "hits", 7), {1: 5}, marks={1: 900})
        position.advance(connection, position.read(connection, "touches", 7), {1: 8}, marks={1: 950})
    with writer.begin() as connection:
        assert [(kept.fold, dict(kept.upto)) for kept in position.read_all(connection)] == [("hits", {1: 5})]
        assert position.read_marks(connection, "touches") == [("touches", 7, {1: 950})]


def test_an_older_token_moves_nothing(writer: Engine) -> None:
    with writer.begin() as connection:
        seen = position.advance(connection, position.read(connection, "books"), {1: 5}, token=3)
    with pytest.raises(PositionMoved), writer.begin() as connection:
        position.advance(connection, seen, {1: 6}, token=2)
    with writer.begin() as connection:
        assert position.advance(connection, seen, {1: 6}, token=3).upto == {1: 6}


# --- sums of hits ----------------------------------------------------------------------------------


def test_sums_add_up(writer: Engine) -> None:
    key = (900, "shop", "tea", "bob", "web", 0, "")
    for _ in range(3):
        with writer.begin() as connection:
            rollups.add_rollups(connection, [(*key, 1, 2, 3, 4, b"")])
    with writer.begin() as connection:
        (row,) = connection.execute(select(schema.rollups))
    assert tuple(row) == (*key, 0, 3, 6, 9, 12, b"")


def test_partitions_have_their_own_sums(writer: Engine) -> None:
    for partition in (3, 7, 3):
        with writer.begin() as connection:
            rollups.add_rollups(connection, [(900, "shop", "tea", "bob", "web", 0, "", 1, 2, 3, 4, b"")], partition)
            rollups.add_hit_counts(connection, {1: {"counted": 2}}, partition)
    with writer.begin() as connection:
        sums = {row.partition: row.clicks for row in connection.execute(select(schema.rollups))}
        counts = {row.partition: row.hits for row in connection.execute(select(schema.hit_counts))}
    assert (sums, counts) == ({3: 4, 7: 2}, {3: 4, 7: 2})


def test_hit_counts_add_up_by_incarnation_and_outcome(writer: Engine) -> None:
    for counts in ({1: {"counted": 2, "bot": 1}}, {1: {"counted": 3}, 2**64 - 1: {"counted": 1}}):
        with writer.begin() as connection:
            rollups.add_hit_counts(connection, counts)
    with writer.begin() as connection:
        rows = {(row.incarnation, row.outcome): row.hits for row in connection.execute(select(schema.hit_counts))}
    assert rows == {("0" * 15 + "1", "counted"): 5, ("0" * 15 + "1", "bot"): 1, ("f" * 16, "counted"): 1}


def test_a_damaged_stretch_is_noted_once(writer: Engine) -> None:
    for found in (5, 6):
        with writer.begin() as connection:
            rollups.add_damage(connection, [("edge-0", 1, 64, 10)], found)
    with writer.begin() as connection:
        assert [row.found for row in connection.execute(select(schema.damage))] == [5]


# --- many rows at once -----------------------------------------------------------------------------


ODD = ("'", "\\", '"', "%", "%s", ":a", "{}", "\n\r\t\x1a", "é中🍵", " ", "", "a\\'b", "NULL", "\u2028")


@pytest.mark.parametrize("make", [bulk.inserting, bulk.replacing, bulk.missing])
def test_texts_and_bytes_come_back_as_they_were_given(writer: Engine, make: Callable[[Table], bulk.Bulk]) -> None:
    rows = [(f"{place}:{text}"[:64], text * 3) for place, text in enumerate(ODD)]
    blobs = [(number, bytes([number % 256, 0, 255, 39, 92]) * number) for number in range(300)]
    with writer.begin() as connection:
        make(schema.meta).run(connection, rows)
        make(schema.booked).run(connection, blobs)
    with writer.begin() as connection:
        assert sorted(map(tuple, connection.execute(select(schema.meta)))) == sorted(rows)
        assert [
            tuple(row) for row in stream(connection, select(schema.booked).order_by(schema.booked.c.number))
        ] == blobs


def test_rows_of_one_call_with_the_same_key_are_as_if_they_came_one_by_one(writer: Engine) -> None:
    budgets, meta = schema.budgets, schema.meta
    keep = bulk.replacing(schema.outcomes, keep=("kind",))
    with writer.begin() as connection:
        bulk.adding(budgets, "amount").run(
            connection, [("tea", "CNY", 1, 5), ("cup", "CNY", 1, 1), ("tea", "CNY", 1, 7)]
        )
        bulk.adding(budgets, "amount").run(connection, [("tea", "CNY", 1, -2)])
        bulk.replacing(meta).run(connection, [("a", "1"), ("a", "2"), ("b", "3")])
        bulk.missing(meta).run(connection, [("a", "9"), ("c", "4"), ("c", "5")])
        keep.run(connection, [("e", 1, "order", "waiting", "", 0, ""), ("e", 2, "claim", "applied", "", 0, "")])
        assert {tuple(row)[0::3] for row in connection.execute(select(budgets))} == {("tea", 10), ("cup", 1)}
        assert {tuple(row) for row in connection.execute(select(meta))} == {("a", "2"), ("b", "3"), ("c", "4")}
        assert [tuple(row)[1:4] for row in connection.execute(select(schema.outcomes))] == [(2, "order", "applied")]


def test_what_any_of_many_rows_names_is_deleted(writer: Engine) -> None:
    gone = bulk.Bulk(
        delete(schema.registry_changes).where(
            schema.registry_changes.c.number == bindparam("of"),
            schema.registry_changes.c.position >= bindparam("least"),
        ),
        ("of", "least"),
    )
    with writer.begin() as connection:
        rows = [(number, position, "{}", 1) for number in range(1_200) for position in range(2)]
        bulk.inserting(schema.registry_changes).run(connection, rows)
        gone.run(connection, [(number, number % 2) for number in range(1_100)])
        left = connection.execute(select(schema.registry_changes.c.number, schema.registry_changes.c.position))
        assert {tuple(row) for row in left} == {
            (number, position)
            for number in range(1_200)
            for position in range(2)
            if number >= 1_100 or position < number % 2
        }


def test_two_streams_of_one_connection_are_read_in_turn(writer: Engine) -> None:
    rows = [(f"{number:05}", "x") for number in range(9_000)]
    with writer.begin() as connection:
        bulk.inserting(schema.meta).run(connection, rows)
    key = bulk.Lookup(select(schema.meta.c.value).where(schema.meta.c.key == bindparam("name")), ("name",))
    with writer.begin() as connection:
        first, second = (stream(connection, select(schema.meta).order_by(schema.meta.c.key)) for _ in range(2))
        for one, other in zip(first, second, strict=True):
            assert tuple(one) == tuple(other)
        assert key.find(connection, "00007") == "x"
        next(stream(connection, select(schema.meta)))  # left open
    with writer.begin() as connection:
        assert key.find(connection, "x") is None


@pytest.mark.parametrize("ask", ["lookup", "stream", "insert"])
def test_the_drivers_errors_are_sqlalchemys(writer: Engine, ask: str) -> None:
    if writer.dialect.name == "sqlite":
        pytest.skip("nothing goes away")
    lookup = bulk.Lookup(select(schema.meta.c.value).where(schema.meta.c.key == bindparam("name")), ("name",))
    with pytest.raises(DBAPIError) as lost, writer.begin() as connection:
        driver: Any = connection.connection.dbapi_connection
        descriptor = driver.fileno() if writer.dialect.name == "postgresql" else driver._sock.fileno()
        with socket.socket(fileno=os.dup(descriptor)) as line:
            line.shutdown(socket.SHUT_RDWR)
        if ask == "lookup":
            lookup.find(connection, "a")
        elif ask == "stream":
            list(stream(connection, select(schema.meta)))
        else:
            bulk.inserting(schema.meta).run(connection, [("a", "b")])
    assert engine.is_away(lost.value)
    with writer.begin() as connection:
        assert lookup.find(connection, "a") is None


# --- the data directory ----------------------------------------------------------------------------


def test_a_new_data_directory_has_a_secret_that_only_its_owner_reads(tmp_path: Path) -> None:
    data = Data.open(tmp_path / "data", create=True)
    assert len(bytes.fromhex(data.secret)) == 32
    assert stat.S_IMODE((data.root / "secret").stat().st_mode) == 0o600
    assert Data.open(tmp_path / "data") == data
    assert Data.open(tmp_path / "data", create=True) == data


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("version", "2\n", "written by a newer tuike"),
        ("version", "new\n", "not a version number"),
        ("secret", "abc\n", "not 64 hex digits"),
        ("secret", None, "missing; restore it"),
        ("version", None, "no tuike data directory"),
    ],
)
def test_a_data_directory_that_cannot_be_used_says_why(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    Data.open(tmp_path, create=True)
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        Data.open(tmp_path)


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"not a tuike data directory \(it has thesis\.txt\)"):
        Data.open(tmp_path, create=True)


def test_one_process_holds_a_lock_and_its_end_gives_it_back(tmp_path: Path) -> None:
    data = Data.open(tmp_path, create=True)
    script = (
        "import sys; from pathlib import Path; from tuike.data import Data, DataError\n"
        "try: Data.open(Path(sys.argv[1])).lock('lock')\n"
        "except DataError as error: sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with data.lock("lock"):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another tuike (process" in refused.stderr
    assert subprocess.run(command, check=False).returncode == 0
