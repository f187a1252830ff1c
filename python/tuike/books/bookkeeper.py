"""The bookkeeper: numbers what it applies, decides it, journals the decision, then posts it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from tuike.books import applications, erasures, networks, refused, templates, webhooks
from tuike.books import registry as writes
from tuike.books.backlog import Backlog, Item
from tuike.books.booking import Desk, Place
from tuike.books.days import Days
from tuike.books.flags import Flags
from tuike.books.fraud import Fraud, Recorded
from tuike.books.ledger import Ledger
from tuike.books.orders import Orders, Target
from tuike.books.path_ends import PathEnds
from tuike.books.payments import Payments
from tuike.books.posting import idempotency_key, post
from tuike.books.records import WAITING, Booked, Effect, Message, Outcome, Request, Standing
from tuike.books.settlement import Settlements
from tuike.books.standings import orders_of
from tuike.books.state import Registry
from tuike.books.totals import Totals
from tuike.books.touches import Touches
from tuike.books.waiting import WaitingRefunds
from tuike.config import PAYOUT_MINIMUM
from tuike.data import DataError
from tuike.stores import meta, schema

WRITES = writes.OPERATIONS | applications.OPERATIONS | networks.OPERATIONS | webhooks.OPERATIONS
WRITES |= erasures.OPERATIONS | templates.OPERATIONS
NUMBER_KEY = "books_number"
IDS_PER_SELECT = 10_000
# parts of a settlement that are committed together, an event of the journal each
PARTS_PER_STEP = 4

Journal = Callable[[Sequence[Booked]], None]


class Answered(NamedTuple):
    """The first request under an idempotency key."""

    event: str
    fingerprint: str
    outcome: Outcome


class Bookkeeper:
    """The only one that changes the registry and moves money. It lives in one thread, in the writer's transactions."""

    def __init__(
        self,
        connection: Connection,
        touches: Touches,
        journal: Journal,
        max_levels: int,
        payout_minimum: Mapping[str, int] = PAYOUT_MINIMUM,
        secret: str | None = None,
    ) -> None:
        """`journal` takes booked records, and has them durable before the transaction is committed; chains are cut at
        `max_levels`; `payout_minimum` is the least payout of each currency that is paid out, in minor units. Without
        the instance's `secret` no day of the ledger is closed."""
        self.registry = Registry.load(connection, max_levels)
        self._desk = Desk(connection, self.registry, Ledger(connection), Totals(), PathEnds())
        self._settlements = Settlements(self._desk)
        self._payments = Payments(self._desk, self._settlements, payout_minimum)
        self._waiting = WaitingRefunds(connection)
        self._flags = Flags(self._desk)
        self._fraud = Fraud(self._desk, touches)
        self._orders = Orders(self._desk, touches, self._waiting, self._flags, self._fraud)
        self._days = Days(connection, secret)
        self._journal = journal
        self._unposted: list[Booked] = []
        self.number = int(meta.read(connection, NUMBER_KEY) or 0)

    def apply(
        self, connection: Connection, registry: Sequence[Item], orders: Sequence[Item], now: int = 0
    ) -> list[dict[str, Any]]:
        """Applies registry writes, then orders, claims and decisions. Answers with what edges must hear.

        `now` (ms) says on which day of the ledger this is. What has an outcome already is passed over: it was
        applied, and only the position was behind.
        """
        self._begin(connection, now)
        done = self._done(connection, [*registry, *orders])
        answered: dict[str, Answered] = {}
        changed = self._apply_registry(connection, registry, done, answered)
        self._apply_orders(connection, orders, done, answered)
        self._flush(connection)
        return changed

    def has_steps(self, now: int) -> bool:
        """Whether there is something to do at `now` that no message asks for."""
        return self._settlements.running or self._waiting.due(now) or self._days.due(now)

    def step(self, connection: Connection, now: int) -> None:
        """Does some of it: refunds that waited in vain, the end of a day, some parts of the running settlement."""
        self._begin(connection, now)
        for message, outcome in self._waiting.expired(now):
            self._book(Booked(self.number + 1, message.id, "expire", now, outcome, again=True, message=message))
        self._flush(connection)
        if self._days.due(now) and (closed := self._days.step(connection, self._desk.ledger.number)) is not None:
            self._book(Booked(self.number + 1, "", "day", now, effect=Effect(day=closed)))
            self._flush(connection)
            self._days.resume(connection)
        for _ in range(PARTS_PER_STEP):
            if not self._settlements.running:
                break
            event, effect, ended = self._settlements.step(self.number + 1)
            self._book(Booked(self.number + 1, event, "settle", now, ended, effect, again=ended is not None))
            self._flush(connection)
            if ended is not None:
                self._settlements.resume(connection)

    def judgement(self, touches: Touches, recorded: Recorded) -> Orders:
        """Decides as this bookkeeper does, by other touches; fraud's flags are those that were recorded."""
        return Orders(self._desk, touches, self._waiting, self._flags, recorded)

    def reload(self, connection: Connection) -> None:
        """After somebody was forgotten in the tables: takes up what of it is kept in memory."""
        self._waiting.load(connection)

    def _begin(self, connection: Connection, now: int) -> None:
        self.begin(connection)
        self._days.begin(now)

    def begin(self, connection: Connection) -> None:
        """Decides by what stands in the tables in this transaction: nothing is fresh."""
        self._desk.begin(connection)
        self._flags.begin()
        self._fraud.begin()

    def _book(self, record: Booked) -> None:
        self.number = record.number
        self._unposted.append(record)

    def _flush(self, connection: Connection) -> None:
        """Journals and posts what is booked: nothing that was decided is unwritten then."""
        if self._unposted:
            self._journal(self._unposted)
            self._post(connection, self._unposted)
            self._unposted = []
            # what was fresh stands in the tables now
            self.begin(connection)

    def recover(self, connection: Connection, booked: Sequence[Booked], backlog: Backlog, now: int = 0) -> None:
        """Posts what was journalled by a bookkeeper that was killed before its commit."""
        self._days.begin(now)
        missing = {record.number: record for record in booked if record.number > self.number}
        for number in sorted(missing):
            record = missing[number]
            if record.kind != "registry":
                self.repeat(connection, [record])
                continue
            item = backlog.registry_write(record.event)
            if item is None:
                raise DataError(f"the journal lacks registry write {record.event}, which the books have applied")
            self.repeat_write(connection, item, number)

    def repeat(
        self, connection: Connection, records: Sequence[Booked], before: Callable[[Booked], None] = lambda record: None
    ) -> None:
        """Posts records of the journal as they stand there: they were decided before. `before` is called with each,
        when all before it counts and it does not yet."""
        self.begin(connection)
        for record in records:
            before(record)
            self._take(record.effect)
            if record.again:
                self._waiting.forget(record.event)
        self._post(connection, records)
        self._settlements.resume(connection)
        self._days.resume(connection)

    def repeat_write(self, connection: Connection, item: Item, number: int) -> None:
        """Applies a registry write again under the number that it has in the journal."""
        self.begin(connection)
        self.number = number - 1
        self._apply_registry(connection, [item], set(), {})
        self._post(connection, self._unposted)
        self._unposted = []

    def _post(self, connection: Connection, booked: Sequence[Booked]) -> None:
        posted = self._desk.ledger.number
        post(connection, self._desk.ledger, booked)
        if self._desk.ledger.number > posted:
            self._days.posted(connection, posted + 1)
        self.number = booked[-1].number
        meta.write(connection, NUMBER_KEY, str(self.number))

    def _apply_registry(
        self, connection: Connection, items: Sequence[Item], done: set[str], answered: dict[str, Answered]
    ) -> list[dict[str, Any]]:
        changed: list[dict[str, Any]] = []
        for item in items:
            message = item.message
            if message.id in done:
                continue
            done.add(message.id)
            request = msgspec.json.decode(message.body, type=Request)
            outcome = self._answered_before(connection, request, answered)
            target = ""
            if outcome is None:
                change = writes.apply(WRITES, connection, self.registry, message, request, self.number + 1)
                outcome, target = change.outcome, change.target
                changed += change.entries
            _remember(answered, request, message.id, outcome)
            self._book(
                Booked(
                    self.number + 1,
                    message.id,
                    "registry",
                    message.received,
                    outcome,
                    request=request,
                    target=target,
                    message=message,
                )
            )
        return changed

    def _apply_orders(
        self, connection: Connection, items: Sequence[Item], done: set[str], answered: dict[str, Answered]
    ) -> None:
        fresh: list[tuple[Message, Request | None]] = []
        for item in items:
            if item.message.id not in done:
                done.add(item.message.id)
                decision = item.message.kind == "decision"
                fresh.append((item.message, msgspec.json.decode(item.message.body, type=Request) if decision else None))
        targets = [self._target(message, request) for message, request in fresh]
        standings = orders_of(connection, {target.conversion for target in targets if isinstance(target, Target)})
        for (message, request), target in zip(fresh, targets, strict=True):
            before = None if request is None else self._answered_before(connection, request, answered)
            if target is None and before is None:
                assert request is not None
                # these are few, and judged by what is written
                self._flush(connection)
                act = self._replay if request.op in (refused.REPLAY, refused.DISMISS) else self._pay
                outcome = act(connection, message, request)
            else:
                outcome = self._decide(message, request, before or target, standings)
            if request is not None:
                _remember(answered, request, message.id, outcome)

    def _target(self, message: Message, request: Request | None) -> Target | Outcome | None:
        """The order that a message is about; None for a decision about none."""
        if message.kind == "close":
            return Outcome.applied()
        if message.kind == refused.KIND:
            return refused.refusal(message)
        if request is not None and not request.op.startswith(("conversion.", "fraud.")):
            return None
        return self._orders.target(message, request)

    def _pay(self, connection: Connection, message: Message, request: Request) -> Outcome:
        place = Place(self.number + 1, message.received)
        decided = self._payments.decide(place, message.id, request)
        *parts, last = decided.effects or (None,)
        for part in parts:
            self._take(part)
            self._book(Booked(self.number + 1, message.id, "decision", message.received, effect=part))
        self._take(last)
        whole = (decided.outcome, last, request, decided.target)
        self._book(Booked(self.number + 1, message.id, "decision", message.received, *whole))
        self._flush(connection)
        self._settlements.resume(connection)
        return decided.outcome

    def _replay(self, connection: Connection, message: Message, request: Request) -> Outcome:
        """Reads again a postback that did not count, or takes it out of the list of those."""
        event = request.data["id"]
        before = refused.find(connection, event)
        if before is None:
            outcome = Outcome.refused("unknown_postback", f"no postback {event!r} waits to be replayed", http=404)
            self._book(Booked(self.number + 1, message.id, "decision", message.received, outcome, request=request))
            self._flush(connection)
            return outcome
        effect, result = None, {"event_id": event, "merchant": before.merchant}
        if request.op == refused.DISMISS:
            effect = Effect(dismissed=event)
            result |= {"status": "dismissed", "code": None, "detail": None, "conversion": None}
        else:
            became = self._read_again(connection, before, message.received)
            said = became.result
            result |= {"status": became.status, "code": became.code or None}
            result |= {name: said.get(name) for name in ("detail", "conversion")}
        whole = (Outcome.applied(result), effect, request, f"postback:{event}")
        self._book(Booked(self.number + 1, message.id, "decision", message.received, *whole))
        self._flush(connection)
        return whole[0]

    def _read_again(self, connection: Connection, before: Message, now: int) -> Outcome:
        again = refused.reread(before, self.registry.merchants[before.merchant], now)
        if isinstance(again, Outcome):
            said = msgspec.structs.replace(again, result={"merchant": before.merchant} | again.result)
            self._book(Booked(self.number + 1, before.id, before.kind, now, said, again=True, message=before))
            return said
        target = self._orders.target(again, None)
        known = {target.conversion} if isinstance(target, Target) else set()
        return self._decide(again, None, target, orders_of(connection, known), again=True)

    def _decide(
        self,
        message: Message,
        request: Request | None,
        target: Target | Outcome | None,
        standings: dict[str, Standing],
        *,
        again: bool = False,
    ) -> Outcome:
        """Decides what a message means for its order, and for refunds that waited for it."""
        assert target is not None
        number = self.number + 1
        outcome, effect = self._orders.decide(number, message, request, target, standings)
        self._take(effect)
        named = ""
        if request is not None and effect is not None and isinstance(target, Target):
            named = f"{'flag' if request.op.startswith('fraud.') else 'conversion'}:{request.data['id']}"
        kept = message if refused.is_kept(message, outcome) else None
        whole = (outcome, effect, request, named, again)
        self._book(Booked(number, message.id, message.kind, message.received, *whole, message=kept))
        standing = standings.get(target.conversion) if isinstance(target, Target) else None
        if isinstance(target, Target) and standing is not None and not standing.claimed:
            for waits in self._waiting.pop(target.conversion, message.received):
                self._decide(waits.message, None, target, standings, again=True)
        return outcome

    def _take(self, effect: Effect | None) -> None:
        """What is decided counts for the next decision."""
        if effect is not None:
            self._desk.ledger.move(effect.transfers)
            self._desk.totals.take(effect)
            self._desk.path_ends.take(effect)
            self._flags.take(effect.flags)
            self._fraud.take(effect.purchases)
            self.registry.bad_touches.update([touch for touch, _ in effect.bad_touches])
            if effect.waiting is not None:
                self._waiting.add(effect.waiting)

    def _done(self, connection: Connection, items: Sequence[Item]) -> set[str]:
        column = schema.outcomes.c.event_id
        ids = [item.message.id for item in items]
        done: set[str] = set()
        for start in range(0, len(ids), IDS_PER_SELECT):
            done.update(connection.scalars(select(column).where(column.in_(ids[start : start + IDS_PER_SELECT]))))
        return done

    def _answered_before(
        self, connection: Connection, request: Request, answered: dict[str, Answered]
    ) -> Outcome | None:
        """The outcome of the first request under the same idempotency key, where there was one."""
        if request.idem is None:
            return None
        key = idempotency_key(request)
        first = answered.get(key) or _filed(connection, key)
        if first is None:
            return None
        answered[key] = first
        if first.fingerprint != (request.fingerprint or ""):
            return Outcome.refused("idempotency_conflict", "this Idempotency-Key was used with another request")
        if first.outcome.status == WAITING:
            # nothing will end this one: whoever asks again is told where the first one's end can be seen
            return Outcome.applied({"event_id": first.event}, http=202)
        return first.outcome


def _remember(answered: dict[str, Answered], request: Request, event: str, outcome: Outcome) -> None:
    if request.idem is not None:
        answered.setdefault(idempotency_key(request), Answered(event, request.fingerprint or "", outcome))


def _filed(connection: Connection, key: str) -> Answered | None:
    keys, outcomes = schema.idempotency, schema.outcomes
    row = connection.execute(
        select(keys, outcomes.c.status, outcomes.c.code, outcomes.c.http, outcomes.c.result)
        .join(outcomes, outcomes.c.event_id == keys.c.event_id)
        .where(keys.c.key == key)
    ).one_or_none()
    if row is None:
        return None
    outcome = Outcome(row.status, row.code, row.http, msgspec.json.decode(row.result))
    return Answered(row.event_id, row.fingerprint, outcome)
