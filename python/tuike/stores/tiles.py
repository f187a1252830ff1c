"""The trees of the ledger's days (RFC 9162, section 2.1), cut into tiles so that none is ever held whole.

A day's leaves are the entries of its transfers in the order of (transfer, position). Tile 0 has the first `TILE`
of them, and so on; the tree over a day is the tree over its tiles' roots.
"""

import hashlib
from collections.abc import Sequence
from datetime import date
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Select, case, select

from tuike import _core
from tuike.stores.dialects import further
from tuike.stores.schema import accounts, conversions, entries, tiles, transfers

TILE = 1_024
"""Leaves of a tile: a power of two, or a tile would be no part of the tree."""

Place = tuple[int, int]
"""An entry's transfer and position."""
Entry = tuple[int, int, str, str, int, str, int, str]
"""As `_core.ledger_leaves` has it."""


EPOCH = date(1970, 1, 1)


def date_of(day: int) -> str:
    """A day's date, from days since 1970-01-01."""
    return date.fromordinal(EPOCH.toordinal() + day).isoformat()


def transfer_id() -> Any:
    """A transfer's public id, of a select that has its conversion beside it (an outer join)."""
    return case(
        (conversions.c.id.is_(None), transfers.c.step), else_=conversions.c.id.concat(":").concat(transfers.c.step)
    )


def _leaves() -> Select[Any]:
    return (
        select(
            entries.c.transfer,
            entries.c.position,
            accounts.c.name,
            transfers.c.currency,
            entries.c.amount,
            transfers.c.kind,
            transfers.c.at,
            transfer_id(),
        )
        .join(transfers, transfers.c.number == entries.c.transfer)
        .join(accounts, accounts.c.id == entries.c.account)
        .outerjoin(conversions, conversions.c.number == transfers.c.conversion)
        .order_by(entries.c.transfer, entries.c.position)
    )


def entries_after(connection: Connection, after: Place, last: int) -> list[Entry]:
    """A tile's entries: those that come next after a place, to the end of transfer `last`."""
    beyond = further(entries.c.transfer, entries.c.position, *after)
    found = connection.execute(_leaves().where(beyond, entries.c.transfer <= last).limit(TILE))
    return [tuple(row) for row in found]


def entries_of(connection: Connection, day: int, tile: int, first: int, last: int) -> list[Entry]:
    """The entries of one tile of a day that has transfers `first` to `last`."""
    before = select(tiles.c.transfer, tiles.c.position).where(tiles.c.day == day, tiles.c.tile == tile - 1)
    row = connection.execute(before).one_or_none()
    return entries_after(connection, (first, -1) if row is None else (row.transfer, row.position), last)


def roots(connection: Connection, day: int) -> list[bytes]:
    """The roots of a day's tiles, in order."""
    return list(connection.scalars(select(tiles.c.root).where(tiles.c.day == day).order_by(tiles.c.tile)))


def tree(secret: str, leaves: Sequence[Entry]) -> _core.MerkleTree:
    """The tree of a tile."""
    return _core.MerkleTree(_core.ledger_leaves(secret, leaves))


def root(nodes: Sequence[bytes]) -> bytes:
    """The root of the tree over tiles' roots, of which there is one at least."""
    while len(nodes) > 1:
        nodes = _above(nodes)
    return nodes[0]


def path(nodes: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings on the way from a tile's root to the day's."""
    siblings = []
    while len(nodes) > 1:
        if index ^ 1 < len(nodes):
            siblings.append(nodes[index ^ 1])
        nodes, index = _above(nodes), index // 2
    return siblings


def _above(nodes: Sequence[bytes]) -> list[bytes]:
    """The row above: a last one without a sibling goes up as it is."""
    return [
        left if right is None else hashlib.sha256(b"\x01" + left + right).digest()
        for left, right in zip_longest(nodes[::2], nodes[1::2])
    ]
