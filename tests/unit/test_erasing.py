"""Erasures in the books' tables: how many at a time."""

import json
from pathlib import Path

from books_kit import Books
from sqlalchemy import insert, select

from tuike import erasing
from tuike.admin import observe
from tuike.stores import erasures
from tuike.stores.schema import erasure_journals
from tuike.stores.schema import erasures as table

LOOK = 1_000


def test_one_person_is_forgotten_in_a_transaction_and_the_next_at_once(tmp_path: Path) -> None:
    books = Books(tmp_path)
    ids = ["a" * 32, "b" * 32]
    with books.engine.begin() as connection:
        for number, id in enumerate(ids):
            erasures.ask(connection, id, number, at=number, visitor=id, merchant="", cust="")
    tables = erasing.Tables()
    states = []
    for _ in range(3):
        assert tables.is_due(LOOK)
        with books.engine.begin() as connection:
            tables.step(connection, LOOK, 1, LOOK, lambda *_: 0)
            states.append(connection.scalars(select(table.c.state).order_by(table.c.number)).all())
    # first they are given their fresh ids
    assert states == [["waiting", "waiting"], ["journals", "waiting"], ["journals", "journals"]]
    assert not tables.is_due(LOOK)


def test_the_metrics_say_whose_archive_an_erasure_waits_for(tmp_path: Path) -> None:
    books = Books(tmp_path)
    waits, done = "a" * 32, "b" * 32
    pending = [(waits, "here", {"archive": [0]}), (waits, "there", {"edge-0/0000000000000007": [1]})]
    with books.engine.begin() as connection:
        for number, id in enumerate((waits, done, "c" * 32)):
            erasures.ask(connection, id, number, at=number, visitor=id, merchant="", cust="")
        for id, state in ((waits, "journals"), (done, "done")):
            connection.execute(table.update().where(table.c.id == id).values(state=state))
        for id, machine, rest in (*pending, (done, "elsewhere", {"archive": [0]})):
            row = {"id": id, "machine": machine, "pending": json.dumps(rest)}
            connection.execute(insert(erasure_journals), row)
        said = observe._book_metrics(connection, LOOK).splitlines()
    assert [line for line in said if line.startswith("tuike_erasures_")] == [
        'tuike_erasures_under_way{state="waiting"} 1',
        'tuike_erasures_under_way{state="journals"} 1',
        'tuike_erasures_archive_pending{machine="here"} 1',
    ]
