"""`tuike migrate`: the books of a real instance on a server are the same books, and go on there."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, delete, insert, select, update

import proof_kit
import redis_servers
from instance import running, tuike
from proof_kit import World
from scaled import SECRET, Scaled, Story, compare
from tuike.data import Data
from tuike.faults import Found
from tuike.process import Processor
from tuike.stores import engine, migrations, moving, schema
from tuike.verify import Checks, verify
from waiting import until

STEPS = 60


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """An instance with a row of nearly every kind, stopped."""
    world = World(tmp_path)
    proof_kit.Story(world, 5).run(STEPS)
    world.ask("template.set", owner="instance", poster="<svg>" + "茶" * 30_000, texts=["{{url}} 🍵"])
    world.stop()
    return world.data


def test_all_tables_are_equal_and_the_instance_goes_on_there(data: Data, server_url: str) -> None:
    moved = tuike("migrate", "--data", data.root, "--to", server_url)
    assert "tables are equal" in moved.stdout
    again = tuike("migrate", "--data", data.root, "--to", server_url)
    assert again.stdout.strip().endswith("are equal, as they were before")
    where = ("--data", str(data.root), "--database", server_url)
    tuike("verify", *where)
    assert "no difference" in tuike("replay", *where).stdout
    with running(data.root, "--workers", "1", "--database", server_url) as instance:
        instance.merchant("later")
        assert instance.stop() == 0
    tuike("verify", *where)
    done = tuike("migrate", "--data", data.root, "--to", server_url, check=False)
    assert (done.returncode, "it has books already; name an empty database" in done.stderr) == (2, True), done.stderr


def test_an_instance_goes_on_as_one_on_several_machines(tmp_path: Path, server_url: str) -> None:
    data = Data.open(tmp_path / "m0", create=True, environment={"TUIKE_SECRET": SECRET})
    data.journal.rmdir()
    story = Story(tmp_path, 3, machines=1)
    story.registry()
    story.go_on(600)
    story.machines[0].start(0)  # what was begun on one machine and what begins on several
    processor = Processor(data)
    while processor.step() or processor.more or processor.waiting:
        story.now += 1
        story.promise()
    processor.close()
    moved = tuike("migrate", "--machines", "--data", data.root, "--to", server_url)
    assert "tables are equal" in moved.stdout
    assert "as they were before" in tuike("migrate", "--machines", "--data", data.root, "--to", server_url).stdout
    shutil.rmtree(data.journal / "books")  # the table has all of it
    assert "no difference" in tuike("replay", "--data", data.root, "--database", server_url).stdout
    with redis_servers.running() as redis:
        scaled = Scaled(story, engine.parse(server_url), redis.url)
        scaled.folder(), scaled.folder(), scaled.candidate()
        for _ in range(3):
            story.go_on(200)
            scaled.steps(5)
        story.close()
        scaled.drain()
        scaled.close()
    compare(story, tmp_path, engine.parse(server_url))
    _proved(replace(data, server=engine.parse(server_url)))


def test_a_move_that_is_killed_anywhere_is_gone_on_with(data: Data, server_url: str) -> None:
    _fill(data)
    command = [sys.executable, "-m", "tuike", "migrate", "--data", str(data.root), "--to", server_url]
    target = engine.open_writer(engine.parse(server_url))
    migrations.upgrade(target)
    for table in (schema.accounts, schema.rollups):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until(partial(_has_rows, target, table), f"rows of {table.name}")
            process.send_signal(signal.SIGKILL)
    target.dispose()
    assert "tables are equal" in tuike("migrate", "--data", data.root, "--to", server_url).stdout
    tuike("verify", "--data", data.root, "--database", server_url)


def test_what_is_not_to_be_moved_says_why(data: Data, server_url: str) -> None:
    with data.lock("processor.lock"):
        done = tuike("migrate", "--data", data.root, "--to", server_url, check=False)
        assert (done.returncode, "stop it or choose another --data" in done.stderr) == (2, True)
    target = engine.open_writer(engine.parse(server_url))
    migrations.upgrade(target)
    with target.begin() as connection:
        connection.execute(insert(schema.meta).values(key="moving", value="another"))
    target.dispose()
    done = tuike("migrate", "--data", data.root, "--to", server_url, check=False)
    assert (done.returncode, "another instance is being moved there" in done.stderr) == (2, True)


def test_a_table_that_differs_is_seen(data: Data, server_url: str) -> None:
    tuike("migrate", "--data", data.root, "--to", server_url)
    here, there = engine.reader(data.books), engine.open_writer(engine.parse(server_url))
    with there.begin() as connection:
        connection.execute(update(schema.accounts).values(balance=schema.accounts.c.balance + 1))
    with here.begin() as one, there.begin() as other:
        different = [table.name for table in schema.metadata.sorted_tables if moving.differs(one, other, table)]
    assert different == ["accounts"]
    here.dispose()
    there.dispose()


def _proved(data: Data) -> None:
    """Nothing is wrong, and what is wrong is seen."""
    report = verify(data)
    assert report.fault is None, report.text()
    books = engine.open_writer(data.database)
    for change, check in (
        (update(schema.hit_counts).values(hits=schema.hit_counts.c.hits + 1), "journal"),
        (delete(schema.outcomes).where(schema.outcomes.c.kind == "order"), "journal"),
        (delete(schema.booked).where(schema.booked.c.number == 7), "booked"),
    ):
        with pytest.raises(Undone), books.begin() as connection:
            connection.execute(change)
            checks = Checks()
            with pytest.raises(Found):
                list(checks.run(connection, data))
            assert checks.name == check
            raise Undone
    books.dispose()


class Undone(Exception):
    """Ends a transaction."""


def _fill(data: Data) -> None:
    """More rows than are moved between two looks."""
    key = {"merchant": "m", "product": "p", "promoter": "o", "channel": "web", "label_number": 1, "label": ""}
    sums = {"impressions": 1, "clicks": 1, "bots": 0, "prefetches": 0, "visitors": b"\0\1", "partition": 9}
    books = engine.writer(data.books)
    with books.begin() as connection:
        connection.execute(insert(schema.rollups), [{"bucket": n} | key | sums for n in range(40_000)])
    books.dispose()


def _has_rows(target: Engine, table: Table) -> bool:
    with target.connect() as connection:
        return connection.execute(select(table).limit(1)).first() is not None
