"""The bookkeeper: numbers what it applies, decides it, journals the decision, then posts it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from tuike.books import registry as writes
from tuike.books.backlog import Backlog, Item
from tuike.books.candidates import Touches
from tuike.books.ledger import Ledger
from tuike.books.orders import Orders
from tuike.books.posting import idempotency_key, post
from tuike.books.records import Booked, Conversion, Message, Outcome, Request, Share, Standing
from tuike.books.state import Registry
from tuike.data import DataError
from tuike.stores import schema

NUMBER_KEY = "books_number"
IDS_PER_SELECT = 10_000

Journal = Callable[[Sequence[Booked]], None]


class Bookkeeper:
    """The only one that changes the registry and moves money. It lives in one thread, in the writer's transactions."""

    def __init__(self, connection: Connection, touches: Touches, journal: Journal, max_levels: int) -> None:
        """`journal` makes booked records durable before it returns; chains are cut at `max_levels`."""
        self.registry = Registry.load(connection, max_levels)
        self._orders = Orders(self.registry, touches)
        self._ledger = Ledger(connection)
        self._journal = journal
        kept = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == NUMBER_KEY))
        self.number = int(kept or 0)

    def apply(self, connection: Connection, registry: Sequence[Item], orders: Sequence[Item]) -> list[dict[str, Any]]:
        """Applies registry writes, then orders, claims and decisions. Answers with what edges must hear.

        What has an outcome already is passed over: it was applied, and only the position was behind.
        """
        done = self._done(connection, [*registry, *orders])
        answered: dict[str, tuple[str, Outcome]] = {}
        booked, changed = self._apply_registry(connection, registry, done, answered)
        booked += self._apply_orders(connection, orders, done, answered)
        if booked:
            self._journal([record.journalled for record in booked])
            self._post(connection, booked)
        return changed

    def recover(self, connection: Connection, booked: Sequence[Booked], backlog: Backlog) -> None:
        """Posts what was journalled by a bookkeeper that was killed before its commit."""
        missing = {record.number: record for record in booked if record.number > self.number}
        for number in sorted(missing):
            record = missing[number]
            if record.kind != "registry":
                self._post(connection, [record])
                continue
            item = backlog.registry_write(record.event)
            if item is None:
                raise DataError(f"the journal lacks registry write {record.event}, which the books have applied")
            self.number = number - 1
            applied, _ = self._apply_registry(connection, [item], set(), {})
            self._post(connection, applied)

    def _post(self, connection: Connection, booked: Sequence[Booked]) -> None:
        post(connection, self._ledger, booked)
        self.number = booked[-1].number
        row = {"key": NUMBER_KEY, "value": str(self.number)}
        connection.execute(insert(schema.meta).on_conflict_do_update(index_elements=["key"], set_=row), row)

    def _apply_registry(
        self, connection: Connection, items: Sequence[Item], done: set[str], answered: dict[str, tuple[str, Outcome]]
    ) -> tuple[list[Booked], list[dict[str, Any]]]:
        booked: list[Booked] = []
        changed: list[dict[str, Any]] = []
        for item in items:
            message = item.message
            if message.id in done:
                continue
            done.add(message.id)
            self.number += 1
            request = msgspec.json.decode(message.body, type=Request)
            outcome = self._answered_before(connection, request, answered)
            target = ""
            if outcome is None:
                change = writes.apply(connection, self.registry, message, request, self.number)
                outcome, target = change.outcome, change.target
                changed += change.entries
            _remember(answered, request, outcome)
            booked.append(
                Booked(self.number, message.id, "registry", message.received, outcome, request=request, target=target)
            )
        return booked, changed

    def _apply_orders(
        self, connection: Connection, items: Sequence[Item], done: set[str], answered: dict[str, tuple[str, Outcome]]
    ) -> list[Booked]:
        fresh: list[tuple[Message, Request | None]] = []
        for item in items:
            if item.message.id not in done:
                done.add(item.message.id)
                decision = item.message.kind == "decision"
                fresh.append((item.message, msgspec.json.decode(item.message.body, type=Request) if decision else None))
        targets = [
            Outcome.applied() if message.kind == "close" else self._orders.target(message, request)
            for message, request in fresh
        ]
        standings = self._standings(
            connection, {target.conversion for target in targets if not isinstance(target, Outcome)}
        )
        booked = []
        for (message, request), target in zip(fresh, targets, strict=True):
            self.number += 1
            outcome = None if request is None else self._answered_before(connection, request, answered)
            record = self._orders.decide(self.number, message, request, outcome or target, standings)
            if request is not None and record.outcome is not None:
                _remember(answered, request, record.outcome)
            booked.append(record)
        return booked

    def _done(self, connection: Connection, items: Sequence[Item]) -> set[str]:
        column = schema.outcomes.c.event_id
        ids = [item.message.id for item in items]
        done: set[str] = set()
        for start in range(0, len(ids), IDS_PER_SELECT):
            done.update(connection.scalars(select(column).where(column.in_(ids[start : start + IDS_PER_SELECT]))))
        return done

    def _standings(self, connection: Connection, ids: set[str]) -> dict[str, Standing]:
        """The orders with these ids that there are."""
        conversions, shares = schema.conversions, schema.shares
        standings: dict[str, Standing] = {}
        wanted = sorted(ids)
        for start in range(0, len(wanted), IDS_PER_SELECT):
            chunk = wanted[start : start + IDS_PER_SELECT]
            lines: dict[str, list[Share]] = {}
            for row in connection.execute(
                select(shares).where(shares.c.conversion.in_(chunk)).order_by(shares.c.conversion, shares.c.position)
            ):
                lines.setdefault(row.conversion, []).append(
                    Share(row.promoter, row.level, row.via, row.weight, row.original, row.amount)
                )
            for mapping in connection.execute(select(conversions).where(conversions.c.id.in_(chunk))).mappings():
                evidence = msgspec.json.decode(mapping["evidence"])
                conversion = Conversion(**{**mapping, "evidence": evidence})
                standings[conversion.id] = Standing(conversion, tuple(lines.get(conversion.id, ())))
        return standings

    def _answered_before(
        self, connection: Connection, request: Request, answered: dict[str, tuple[str, Outcome]]
    ) -> Outcome | None:
        """The outcome of the first request under the same idempotency key, where there was one."""
        if request.idem is None:
            return None
        key = idempotency_key(request)
        first = answered.get(key) or _filed(connection, key)
        if first is None:
            return None
        answered[key] = first
        fingerprint, outcome = first
        if fingerprint != (request.fingerprint or ""):
            return Outcome.refused("idempotency_conflict", "this Idempotency-Key was used with another request")
        return outcome


def _remember(answered: dict[str, tuple[str, Outcome]], request: Request, outcome: Outcome) -> None:
    if request.idem is not None:
        answered.setdefault(idempotency_key(request), (request.fingerprint or "", outcome))


def _filed(connection: Connection, key: str) -> tuple[str, Outcome] | None:
    keys, outcomes = schema.idempotency, schema.outcomes
    row = connection.execute(
        select(keys.c.fingerprint, outcomes.c.status, outcomes.c.code, outcomes.c.http, outcomes.c.result)
        .join(outcomes, outcomes.c.event_id == keys.c.event_id)
        .where(keys.c.key == key)
    ).one_or_none()
    if row is None:
        return None
    return row.fingerprint, Outcome(row.status, row.code, row.http, msgspec.json.decode(row.result))
