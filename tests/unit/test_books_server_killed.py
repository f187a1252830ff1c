"""A transaction of the processor whose PostgreSQL or MariaDB is killed before its commit is done again, once."""

from pathlib import Path
from typing import Any

import pytest
from process_kit import Producer, balances, click, drain, order, rows, settle, shop
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from sql_servers import Server
from tuike.books.bookkeeper import Bookkeeper
from tuike.data import Data
from tuike.process import Processor
from tuike.stores import engine, rollups, schema
from tuike.verify import verify


@pytest.mark.parametrize("place", ["_fold", "_book"])
def test_a_transaction_whose_server_is_killed_in_the_middle_is_done_again_once(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    data = Data.open(tmp_path / "data", engine.parse(own_server.create()), create=True)
    edge = Producer(data)
    edge.append(*shop(data), click(), order("o1"), order("o2"))
    edge.close()
    writes = {"_fold": (rollups, "add_rollups"), "_book": (Bookkeeper, "_post")}[place]
    write = getattr(*writes)

    def killed(*arguments: Any) -> None:
        write(*arguments)  # what is written is not committed
        own_server.kill()
        own_server.start()

    processor = Processor(data)
    with monkeypatch.context() as patch, pytest.raises(DBAPIError) as lost:
        patch.setattr(*writes, killed)
        drain(processor)
    assert engine.is_away(lost.value)
    processor.close()
    assert balances(data) == {}
    settle(data)
    assert balances(data) == {"merchant:shop:payable": -2_000, "promoter:alice:pending": 2_000}
    (line,) = rows(data, select(schema.rollups.c.clicks).where(schema.rollups.c.label_number == 0))
    assert line["clicks"] == 1
    report = verify(data)
    assert report.fault is None, report.text()
