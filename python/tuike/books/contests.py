"""Contests: promoters in the order of a figure of a period, and prizes for the first of them (money.md, section 5).

A contest is closed once, after its end. Its ranks are the leaderboard's; promoters that are blocked have none. Equal
figures share the prizes of the places that they take in equal parts, the units left go to the earlier names. What was
paid is booked with its places, so a replay ranks nobody again; orders that come later, or are refunded later, change no
prize."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select

from tuike import views
from tuike.books import booking
from tuike.books.booking import Desk, Place
from tuike.books.ledger import REVENUE
from tuike.books.payouts import amount_of
from tuike.books.records import Contest, Decision, Effect, Outcome, Refusal, Transfer, Winner
from tuike.reports.leaderboard import standings
from tuike.reports.periods import Filters, Period
from tuike.stores.schema import contests

# Promoters that are ranked: more than these with equal figures at the last prize are not asked for.
MAX_RANKED = 10_000

Body = dict[str, Any]


class Contests:
    """Belongs to the one bookkeeper; decides by what is written."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def create(self, place: Place, event: str, data: Body) -> Decision:
        """The same again is the same; another under its id is refused."""
        fields = {name: data[name] for name in ("id", "name", "since", "until", "timezone", "metric", "currency")}
        prizes = tuple([amount_of(prize, data["currency"]) for prize in data["prizes"]])
        made = Contest(number=place.number, status="open", created=place.received, prizes=prizes, **fields)
        known = self._find(made.id)
        if known is None:
            return Decision(Outcome.applied(view(made), http=201), (Effect(contest=made),), f"contest:{made.id}")
        if msgspec.structs.replace(known, number=made.number, status="open", created=made.created, winners=()) != made:
            raise Refusal("conflict", "this id is taken, by another contest", http=409)
        return Decision(Outcome.applied(view(known)))

    def close(self, place: Place, event: str, data: Body) -> Decision:
        """Pays the prizes, once: a contest that is closed is answered as it was closed."""
        contest = self._find(data["id"])
        if contest is None:
            raise Refusal("unknown_contest", f"there is no contest {data['id']!r}", http=404)
        if contest.status == "closed":
            return Decision(Outcome.applied(view(contest)))
        if place.received < contest.until * 1000:
            raise Refusal("contest_open", f"it runs until {views.instant(contest.until * 1000)}")
        winners = awarded(self._ranked(contest), contest.prizes)
        closed = msgspec.structs.replace(contest, status="closed", winners=winners)
        moved = tuple([self._prize(place, contest, won) for won in winners if won.amount])
        effect = Effect(transfers=moved, contest=closed)
        return Decision(Outcome.applied(view(closed)), (effect,), f"contest:{contest.id}")

    def _ranked(self, contest: Contest) -> list[tuple[str, int, int]]:
        """Promoter, figure and rank of those who may win."""
        period = Period(contest.since, contest.until, ZoneInfo(contest.timezone))
        metric: Any = contest.metric
        found = standings(self._desk.connection, period, Filters(), metric, MAX_RANKED, contest.currency)
        known = self._desk.registry.promoters
        rows = [row for row in found if row[0] in known and known[row[0]].status != "blocked"]
        ranked: list[tuple[str, int, int]] = []
        for promoter, figure, _ in rows:
            rank = ranked[-1][2] if ranked and ranked[-1][1] == figure else len(ranked) + 1
            ranked.append((promoter, figure, rank))
        return ranked

    def _prize(self, place: Place, contest: Contest, won: Winner) -> Transfer:
        lines = booking.into_available(self._desk.ledger, won.promoter, contest.currency, won.amount)
        entries = ((REVENUE, -won.amount), *lines)
        return Transfer(0, f"contest:{contest.id}:{won.place}", "prize", contest.currency, place.received, entries)

    def _find(self, id: str) -> Contest | None:
        row = self._desk.connection.execute(select(contests).where(contests.c.id == id)).one_or_none()
        if row is None:
            return None
        prizes = msgspec.json.decode(row.prizes, type=tuple[int, ...])
        winners = msgspec.json.decode(row.winners, type=tuple[Winner, ...])
        return Contest(**{**row._mapping, "prizes": prizes, "winners": winners})


def awarded(ranked: Sequence[tuple[str, int, int]], prizes: Sequence[int]) -> tuple[Winner, ...]:
    """Who gets what: ranks of equal figures take as many places together. Places whose prizes are 0 have no winner,
    and those after them have."""
    winners: list[Winner] = []
    for rank, group in groupby(ranked, key=lambda row: row[2]):
        if rank > len(prizes):
            break
        equal = list(group)
        pool = sum(prizes[rank - 1 : rank - 1 + len(equal)])
        if not pool:
            continue
        share, left = divmod(pool, len(equal))
        for number, (promoter, figure, _) in enumerate(equal):
            winners.append(Winner(rank + number, rank, promoter, figure, share + (number < left)))
    return tuple(winners)


def view(contest: Contest) -> Body:
    return views.contest(msgspec.to_builtins(contest))
