"""Erasures in the books' tables: how many at a time."""

from pathlib import Path

from books_kit import Books
from sqlalchemy import select

from tuike import erasing
from tuike.stores import erasures
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
