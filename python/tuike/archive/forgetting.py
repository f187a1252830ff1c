"""What the archive must not keep: who has been erased, and whom hits were about once their keeping is over.

The rules are those of the journal (core_rs/src/erasure.rs), so a file that is written again from it is the same."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Row

from tuike.archive.stage import Stage, days_of, file_of, staging
from tuike.archive.tables import HITS
from tuike.books.settings import DAY_MS
from tuike.data import Data, DataError
from tuike.stores import erasures

LOCK = "archive.lock"
MARK = "chr(127)"  # what a customer that an erasure made begins with
LONGEST = 512
"""Bytes of a customer, at most."""


_log = logging.getLogger(__name__)


class Person(NamedTuple):
    """Who is to be forgotten: as in `stores.schema.erasures`, with the id that takes their place."""

    kind: str
    merchant: str
    subject: str
    until: int
    fresh: str


def reach(data: Data, work: Callable[[], int]) -> bool:
    """Does what changes files, under the archive's lock. False: somebody archives just now, DuckDB is not installed, or
    the disk fails; it is to be tried again."""
    try:
        with data.lock(LOCK):
            work()
    except (DataError, OSError) as error:
        _log.warning("who is to be forgotten waits in the archive: %s", error)
        return False
    return True


def people(rows: Sequence[Row[Any]]) -> list[Person]:
    fresh = erasures.of(rows).fresh
    return [Person(row.kind, row.merchant, row.subject, row.at, id) for row, id in zip(rows, fresh, strict=True)]


def erase_laid_out(stage: Stage, gone: Sequence[Person]) -> int:
    """Takes people out of the hits that are laid out; of how many."""
    changed = 0
    for person in gone:
        who, values = _who(person)
        fresh = (
            f"{MARK} || substr(repeat('{person.fresh}', {LONGEST // len(person.fresh) + 1}), 1, strlen(customer) - 1)"
        )
        row = stage.connection.execute(
            f"UPDATE hits SET visitor = CASE visitor WHEN '' THEN '' ELSE '{person.fresh}' END, "
            f"customer = CASE customer WHEN '' THEN '' ELSE {fresh} END, referrer = '' "
            f"WHERE {who} AND received <= {person.until}",
            values,
        ).fetchone()
        changed += 0 if row is None else row[0]
    return changed


def _who(person: Person) -> tuple[str, list[str]]:
    if person.kind == "visitor":
        return "visitor = ?", [person.subject]
    return "merchant = ? AND customer = ?", [person.merchant, person.subject]


def end_keeping_laid_out(stage: Stage, before: int) -> None:
    """Takes everybody out of hits that were received before an instant."""
    stage.connection.execute(f"UPDATE hits SET visitor = '', customer = '', referrer = '' WHERE received < {before}")


def erase(root: Path, gone: Sequence[Person]) -> int:
    """Takes people out of all files; of how many rows. The archive's lock is held."""
    changed = 0
    with staging(root) as stage:
        for day in days_of(root, HITS):
            if any(_names(stage, day, person) for person in gone):
                stage.load(HITS, day)
                changed += erase_laid_out(stage, gone)
                stage.publish(HITS, day)
    return changed


def _names(stage: Stage, day: int, person: Person) -> bool:
    who, values = _who(person)
    return stage.count(file_of(stage.root, HITS, day), f"{who} AND epoch_ms(received) <= {person.until}", values) > 0


def end_keeping(root: Path, before: int) -> int:
    """Takes everybody out of hits in files that were received before an instant; how many days were written again. The
    archive's lock is held."""
    somebody = f"(visitor <> '' OR customer <> '' OR referrer <> '') AND epoch_ms(received) < {before}"
    written = 0
    with staging(root) as stage:
        for day in days_of(root, HITS):
            # nothing is received before it happens, but by clocks that differ
            if (day - 1) * DAY_MS < before and stage.count(file_of(root, HITS, day), somebody):
                stage.load(HITS, day)
                end_keeping_laid_out(stage, before)
                stage.publish(HITS, day)
                written += 1
    return written
