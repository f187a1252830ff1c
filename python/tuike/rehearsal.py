"""What the books would say to registry writes, tried on a copy of the registry: an import that is strict asks first."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import create_engine, insert, select
from sqlalchemy.pool import StaticPool

from tuike.books import registry as writes
from tuike.books.records import Message, Request
from tuike.books.state import Registry
from tuike.data import Data
from tuike.stores import engine, schema

TABLES = (
    schema.merchants,
    schema.products,
    schema.rules,
    schema.promoters,
    schema.promoter_parents,
    schema.links,
)
ROWS = 10_000
MAX_LEVELS = 3
FIRST_NUMBER = 1 << 62
"""Above every number of the books that the copy holds."""


def refusals(data: Data, events: Iterable[dict[str, Any]]) -> list[tuple[int, str]]:
    """Lines of the events that would be set aside, each with the reason. Writes nothing."""
    memory = create_engine("sqlite://", poolclass=StaticPool)
    schema.metadata.create_all(memory, tables=TABLES)
    found = []
    with engine.reader(data.books).connect() as books, memory.begin() as copy:
        for table in TABLES:
            for rows in books.execute(select(table)).mappings().partitions(ROWS):
                copy.execute(insert(table), [dict(row) for row in rows])
        registry = Registry.load(copy, MAX_LEVELS)
        for number, event in enumerate(events, FIRST_NUMBER):
            message = Message(event["id"], event["kind"], event["at"])
            request = msgspec.json.decode(event["body"], type=Request)
            outcome = writes.apply(copy, registry, message, request, number).outcome
            if outcome.status == "set_aside":
                found.append((event["line"], f"{outcome.code}: {outcome.result['detail']}"))
    return found
