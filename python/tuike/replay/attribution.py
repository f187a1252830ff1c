"""Decides every order again from the hits of the journal, and lists what came late.

Each is decided in its place in the books, as they were then, by all hits that the journal has. Where that makes
another record than the one that was booked, it is decided once more by the hits that were folded then: if that makes
the record, a hit came late (money.md, section 5), and if not, something is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection

from tuike import _core, retention
from tuike.books.backlog import Item
from tuike.books.bookkeeper import NUMBER_KEY, Bookkeeper
from tuike.books.fraud import Recorded
from tuike.books.orders import Orders, Target
from tuike.books.records import Booked, Effect, Message, Outcome, Request, Standing
from tuike.books.standings import orders_of
from tuike.books.touches import NoTouches, Touches
from tuike.data import Data
from tuike.faults import Fault, Found, Report
from tuike.process import touches_kept
from tuike.replay.history import Hits, Past, Step, history, parts
from tuike.replay.logs import log_of
from tuike.replay.rebuild import Told, fresh, touch_store, untold
from tuike.stores import engine, meta, position

Question = tuple[Message, Request | None]
Verdict = tuple[Outcome, Effect | None]
Standings = dict[str, Standing | None]
"""Orders that were looked for, by id."""


@dataclass(frozen=True, slots=True)
class Late:
    """An order that would be credited otherwise by hits that were folded only after it was booked."""

    conversion: str
    order_id: str
    clicks: tuple[str, ...]

    def text(self) -> str:
        clicks = ", ".join(self.clicks) or "none of its own: another order's credit"
        return f"late   conversion {self.conversion} (order {self.order_id}): {clicks}"


@dataclass(slots=True)
class Attribution(Report):
    late: list[Late] = field(default_factory=list)

    def text(self) -> str:
        return "\n".join([Report.text(self), *[late.text() for late in self.late]])


def attribution(data: Data, max_levels: int, told: Told = untold) -> Attribution:
    """Nothing is written but in a temporary directory; the instance may be running."""
    report = Attribution()
    books = engine.open_reader(data.database)
    root = str(data.journal)
    try:
        with books.begin() as live, fresh(data) as (directory, made):
            number = int(meta.read(live, NUMBER_KEY) or 0)
            folded = position.read(live, "hits").upto
            with touch_store(directory, "all") as whole, touch_store(directory, "past") as past:
                for batch in Hits(root).upto(folded):
                    whole.put(batch)
                with made.begin() as connection:
                    keeper = Bookkeeper(connection, NoTouches(), lambda records: None, max_levels)
                kept_since = retention.noted(live).get("before", 0)
                retrial = Retrial(keeper, whole, Past(root, past), kept_since)
                for part in parts(history(log_of(live, root), root, number)):
                    with made.begin() as connection:
                        retrial.take(connection, part)
                    told(keeper.number, number)
        report.late = retrial.late
        report.proved.append(
            f"attribution: {retrial.decided} orders decided again, {len(report.late)} would be credited otherwise by "
            f"hits that came late, {retrial.same} the same with other touches"
            + (f", {retrial.forgotten} about people who were forgotten" if retrial.forgotten else "")
        )
    except Found as found:
        report.fault = Fault("attribution", found.place, found.detail)
    finally:
        books.dispose()
    return report


class Retrial:
    """Holds each record against what would be decided now, and posts it as it is."""

    def __init__(self, keeper: Bookkeeper, whole: Touches, past: Past, kept_since: int = 0) -> None:
        """`kept_since`: hits received earlier are nobody's any more, ms."""
        self._keeper = keeper
        self._kept_since = kept_since
        self._past = past
        self._recorded = Recorded()
        self._by_all = keeper.judgement(whole, self._recorded)
        self._by_then = keeper.judgement(past.touches, self._recorded)
        self.decided = 0
        self.same = 0
        self.forgotten = 0
        self.late: list[Late] = []

    def take(self, connection: Connection, part: Sequence[Step]) -> None:
        record, item = part[0]
        if record.kind == "registry":
            assert item is not None
            self._past.note(record)
            self._keeper.repeat_write(connection, item, record.number)
            return
        asked = {record.number: _asked(record, item) for record, item in part}
        targets = [self._by_all.target(*question) for question in asked.values() if question is not None]
        ids = {target.conversion for target in targets if isinstance(target, Target)}
        standings: Standings = {**dict.fromkeys(ids), **orders_of(connection, ids)}

        def judge(record: Booked) -> None:
            self._past.note(record)
            self._recorded.note(record)
            question = asked[record.number]
            if question is not None:
                self._judge(connection, record, question, standings)
            standing = _standing(record.effect)
            if standing is not None:
                standings[standing.conversion.id] = standing

        self._keeper.repeat(connection, [record for record, _ in part], judge)

    def _judge(self, connection: Connection, record: Booked, question: Question, standings: Standings) -> None:
        self.decided += 1
        target, now = _decide(self._by_all, connection, record.number, question, standings)
        if not _same(record, now):
            self._past.fill()
            _, then = _decide(self._by_then, connection, record.number, question, standings)
            if not _same(record, then) and self._is_forgotten(record, question[0]):
                self.forgotten += 1
                return
            if not _same(record, then):
                place = f"conversion {target.conversion}" if isinstance(target, Target) else f"message {record.event}"
                raise Found(place, f"number {record.number} of the books is not what its hits and the rules make of it")
            self._note(record, now)

    def _is_forgotten(self, record: Booked, message: Message) -> bool:
        """Whether somebody was forgotten who asked for it or was credited by it, or hits that it may have been credited
        by are kept no longer: what they were found by is gone."""
        standing = _standing(record.effect)
        told: Mapping[str, Any] = {} if standing is None else standing.conversion.evidence.get("identifiers", {})
        hits = [self._past.touches.click(id) or {} for id in _touches(standing)]
        people = (told, {"visitor": message.visitor, "cust": message.cust, "did": message.did}, *hits)
        names = ("visitor", "cust", "did")
        if message.at - touches_kept(self._keeper.registry) < self._kept_since or any(
            hit.get("received", self._kept_since) < self._kept_since for hit in hits
        ):
            return True
        return any(_core.is_erased_person(**{name: person.get(name, "") for name in names}) for person in people)

    def _note(self, record: Booked, now: Verdict) -> None:
        """By all hits the order comes to something else."""
        was, would = _standing(record.effect), _standing(now[1])
        if _credit(was) == _credit(would):
            self.same += 1
            return
        order = would or was
        assert order is not None
        clicks = sorted(_touches(would) - _touches(was))
        self.late.append(Late(order.conversion.id, order.conversion.order_id, tuple(clicks)))


def _asked(record: Booked, item: Item | None) -> Question | None:
    """The message and request of a record that decides about an order, where it was not answered as one before."""
    if item is None or record.kind not in ("order", "claim", "decision"):
        return None
    if record.kind == "decision" and _standing(record.effect) is None:
        return None
    message = item.message
    return message, msgspec.json.decode(message.body, type=Request) if record.kind == "decision" else None


def _decide(
    orders: Orders, connection: Connection, number: int, question: Question, standings: Standings
) -> tuple[Target | Outcome, Verdict]:
    """Changes no standing."""
    message, request = question
    target = orders.target(message, request)
    known: dict[str, Standing] = {}
    if isinstance(target, Target):
        id = target.conversion
        if id not in standings:
            standings[id] = orders_of(connection, [id]).get(id)
        standing = standings[id]
        known = {} if standing is None else {id: standing}
    return target, orders.decide(number, message, request, target, known)


def _same(record: Booked, verdict: Verdict) -> bool:
    return msgspec.json.encode((record.outcome, record.effect)) == msgspec.json.encode(verdict)


def _standing(effect: Effect | None) -> Standing | None:
    return None if effect is None else effect.standing


def _credit(standing: Standing | None) -> list[tuple[str, int, str, int]]:
    if standing is None:
        return []
    return [(share.promoter, share.level, share.via, share.weight) for share in standing.shares]


def _touches(standing: Standing | None) -> set[str]:
    if standing is None:
        return set()
    return {candidate["id"] for candidate in standing.conversion.evidence.get("candidates", ())}
