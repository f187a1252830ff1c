"""Signed statements: what a promoter's accounts received and gave in a month, with what proves each line.

A statement covers transfers `first` to `last`, in closed days of one month; of a month with many lines there are
several, each of which goes on where the one before it ended. The format is in docs/PROOFS.md."""

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from tuike import _core, views
from tuike.books.ledger import PURSES, promoters
from tuike.stores import tiles
from tuike.stores.schema import accounts, conversions, days, entries, transfers
from tuike.stores.schema import tiles as tiles_table

FORMAT = "tuike statement 1"
LINES_PER_STATEMENT = 1_000
"""Above what one transfer can have of a promoter's: a transfer's lines stay together."""

Body = dict[str, Any]


def canonical(document: Body) -> bytes:
    """What is signed of a statement: all of it but the signature, as RFC 8785 writes JSON. A statement's numbers are
    whole, and its names are ASCII."""
    signed = {name: value for name, value in document.items() if name != "signature"}
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def leaf(line: Mapping[str, Any], minor: int, at: int) -> bytes:
    """A line's leaf in its day's tree: see `_core.ledger_leaves`. Amount in minor units, instant in ms."""
    fields = (line["transfer"], line["position"], line["account"], line["currency"], minor, line["kind"], at)
    return "\t".join(map(str, (*fields, line["id"], line["salt"]))).encode()


class Line(NamedTuple):
    """An entry on one of the promoter's accounts."""

    transfer: int
    position: int
    account: int
    amount: int


@dataclass(frozen=True, slots=True)
class Signer:
    """The instance's secret (hex), which salts leaves, and the private key that signs."""

    secret: str
    key: bytes

    @property
    def public(self) -> str:
        return _core.ed25519_public(self.key).hex()

    def sign(self, document: Body) -> Body:
        whole = document | {"key": self.public}
        return whole | {"signature": _core.ed25519_sign(self.key, canonical(whole)).hex()}


def statements(connection: Connection, signer: Signer, promoter: str, month: str, after: int) -> Iterator[Body]:
    """A promoter's statements of closed days, in order, for transfers later than `after`; of one month where it is
    not empty. Months without a line have none."""
    names = [promoters(promoter, purse) for purse in PURSES]
    of_promoter = select(accounts).where(accounts.c.name.in_(names)).order_by(accounts.c.name, accounts.c.currency)
    own = {row.id: row for row in connection.execute(of_promoter)}
    closed = connection.execute(select(days).where(days.c.last > after).order_by(days.c.day)).all()
    for name, of_month in groupby(closed, key=lambda row: tiles.date_of(row.day)[:7]):
        if month and name != month:
            continue
        period = list(of_month)
        first = max(after + 1, period[0].first)
        while first <= period[-1].last and (lines := _lines(connection, own, first, period[-1].last)):
            last = period[-1].last
            if len(lines) > LINES_PER_STATEMENT:
                last = lines[LINES_PER_STATEMENT].transfer - 1
                lines = [line for line in lines if line.transfer <= last]
            about = {"format": FORMAT, "promoter": promoter, "month": name, "first": first, "last": last}
            covered = [row for row in period if first <= row.last and row.first <= last]
            yield signer.sign(about | _body(connection, signer.secret, own, lines, covered, first))
            first = last + 1


def _lines(connection: Connection, own: Mapping[int, Any], first: int, last: int) -> list[Line]:
    """The next lines, enough for a statement and to see whether there are more."""
    limit = LINES_PER_STATEMENT + 1
    found = [
        [
            Line(*row)
            for row in connection.execute(
                select(entries)
                .where(entries.c.account == account, entries.c.transfer.between(first, last))
                .order_by(entries.c.transfer, entries.c.position)
                .limit(limit)
            )
        ]
        for account in own
    ]
    return list(islice(merge(*found), limit))


def _body(
    connection: Connection,
    secret: str,
    own: Mapping[int, Any],
    lines: Sequence[Line],
    covered: Sequence[Row[Any]],
    first: int,
) -> Body:
    before = (
        select(entries.c.account, func.sum(entries.c.amount))
        .where(entries.c.account.in_(list(own)), entries.c.transfer < first)
        .group_by(entries.c.account)
    )
    opening: dict[int, int] = {row[0]: row[1] for row in connection.execute(before)}
    closing = dict(opening)
    for line in lines:
        closing[line.account] = closing.get(line.account, 0) + line.amount
    shown = [row for id, row in own.items() if id in closing]
    return {
        "currencies": sorted({row.currency for row in shown}),
        "accounts": [
            {
                "account": row.name,
                "currency": row.currency,
                "opening": _core.format_amount(opening.get(row.id, 0), row.currency),
                "closing": _core.format_amount(closing[row.id], row.currency),
            }
            for row in shown
        ],
        "lines": _proven(connection, secret, lines, covered),
        "days": [day_view(row) for row in covered],
    }


def day_view(row: Any) -> Body:
    """A closed day of the ledger. `first` and `last` are transfers, `leaves` their entries."""
    return {
        "day": tiles.date_of(row.day),
        "first": row.first,
        "last": row.last,
        "leaves": row.leaves,
        "root": row.root,
    }


def _proven(connection: Connection, secret: str, lines: Sequence[Line], covered: Sequence[Row[Any]]) -> list[Body]:
    """Each line with what its transfer says, its place in its day's tree, and the way to the root."""
    orders = _orders(connection, lines)
    found: list[Body] = []
    places = iter(lines)
    line = next(places, None)
    for row in covered:
        ends = connection.execute(
            select(tiles_table.c.transfer, tiles_table.c.position)
            .where(tiles_table.c.day == row.day)
            .order_by(tiles_table.c.tile)
        ).all()
        roots = tiles.roots(connection, row.day)
        while line is not None and line.transfer <= row.last:
            tile = bisect_left(ends, (line.transfer, line.position), key=tuple)
            leaves = tiles.entries_of(connection, row.day, tile, row.first, row.last)
            tree = tiles.tree(secret, leaves)
            above = tiles.path(roots, tile)
            for index, entry in enumerate(leaves):
                if line is None or entry[:2] != line[:2]:
                    continue
                salt = _core.ledger_leaves(secret, [entry])[0].rpartition(b"\t")[2].decode()
                proof = [hash.hex() for hash in (*tree.proof(index), *above)]
                at = {"day": tiles.date_of(row.day), "index": tile * tiles.TILE + index, "salt": salt, "proof": proof}
                found.append(_view(entry, orders) | at)
                line = next(places, None)
    return found


def _orders(connection: Connection, lines: Sequence[Line]) -> dict[int, Body]:
    """By transfer: the conversion, and what its id is a hash of."""
    names = (
        conversions.c.id.label("conversion"),
        *(conversions.c[name] for name in ("merchant", "order_id", "product")),
    )
    about = (
        select(transfers.c.number, *names)
        .join(conversions, conversions.c.number == transfers.c.conversion)
        .where(transfers.c.number.in_({line.transfer for line in lines}))
    )
    found: dict[int, Body] = {}
    for row in connection.execute(about).mappings():
        found[row["number"]] = {name: value for name, value in row.items() if name != "number"}
    return found


def _view(entry: tiles.Entry, orders: Mapping[int, Body]) -> Body:
    transfer, position, account, currency, amount, kind, at, id = entry
    none = dict.fromkeys(("conversion", "merchant", "order_id", "product"))
    return {
        "transfer": transfer,
        "position": position,
        "account": account,
        "currency": currency,
        "amount": _core.format_amount(amount, currency),
        "kind": kind,
        "at": views.instant(at),
        "id": id,
    } | orders.get(transfer, none)
