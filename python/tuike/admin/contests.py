"""/v1/contests: prizes for the first promoters of a period."""

from typing import Annotated, Any, Literal

from msgspec import Meta
from sqlalchemy import Connection, select

from tuike import views
from tuike.admin import auth, inputs, pages, queries
from tuike.admin.answers import Answer as Shown
from tuike.admin.answers import Next
from tuike.admin.inputs import Amount, Code, Currency, Input, Name, Timezone
from tuike.admin.problems import Problem, not_found
from tuike.admin.report_queries import DAY_OR_INSTANT
from tuike.admin.routes import Answer, Body, Call, Route, writes
from tuike.reports import Period, ReportError
from tuike.stores.schema import contests

MAX_PRIZES = 100

Bound = Annotated[str, Meta(min_length=1, extra_json_schema=DAY_OR_INSTANT)]
Metric = Literal["sales", "orders", "commission", "clicks"]


class ContestBody(Input, rename={"since": "from", "until": "to"}):
    """From an instant or day of `tz` to another (a day is included); `prizes` of the places 1, 2 ..."""

    id: Code
    name: Name
    since: Bound
    until: Bound
    metric: Metric
    currency: Currency
    prizes: Annotated[list[Amount], Meta(min_length=1, max_length=MAX_PRIZES)]
    tz: Timezone = "UTC"

    def __post_init__(self) -> None:
        inputs.check_timezone(self.tz)


class Winner(Shown):
    """Equal values share a rank, and the prizes of their places."""

    place: int
    rank: int
    promoter: str
    value: int | str
    amount: str


class Contest(Shown, rename={"since": "from", "until": "to"}):
    """A promoter sees the own line of `winners` alone."""

    id: str
    name: str
    since: str
    until: str
    tz: str
    metric: Metric
    currency: str
    status: Literal["open", "closed"]
    prizes: list[str]
    winners: list[Winner]
    created: str


class Contests(Shown):
    items: list[Contest]
    next: Next


async def create(call: Call) -> Answer:
    body: ContestBody = call.body
    try:
        period = Period.parse(body.since, body.until, inputs.check_timezone(body.tz))
    except ReportError as error:
        raise Problem(error.code, str(error)) from error
    data = {
        "id": body.id,
        "name": body.name,
        "since": period.since,
        "until": period.until,
        "timezone": body.tz,
        "metric": body.metric,
        "currency": body.currency,
        "prizes": body.prizes,
    }
    return await call.write("decision", "contest.create", data)


close = writes("decision", "contest.close", "id")


async def get(call: Call) -> Body:
    return await call.read(_get, call.path("id"), call.actor.promoter_only())


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query, call.actor.promoter_only())


def _get(connection: Connection, id: str, only: str) -> Body:
    row = connection.execute(select(contests).where(contests.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"contest {id}")
    return _shown(row, only)


def _page(connection: Connection, query: queries.Page, only: str) -> Body:
    return pages.page(
        connection,
        select(contests),
        contests.c.number,
        lambda row: _shown(row, only),
        cursor=query.cursor,
        limit=query.limit,
        newest_first=True,
    )


def _shown(row: Any, only: str) -> Body:
    body = views.contest(row)
    return body | {"winners": [won for won in body["winners"] if only in ("", won["promoter"])]}


EVERYONE = auth.READERS | auth.PROMOTER

ROUTES = (
    Route(
        "POST",
        "/v1/contests",
        create,
        "Announce a contest",
        auth.MONEY,
        body=ContestBody,
        answer=Contest,
        status=201,
    ),
    Route("GET", "/v1/contests", page, "Contests, the newest first", EVERYONE, query=queries.Page, answer=Contests),
    Route("GET", "/v1/contests/{id}", get, "A contest", EVERYONE, answer=Contest),
    Route(
        "POST",
        "/v1/contests/{id}/close",
        close,
        "Pay a contest's prizes; twice is once",
        auth.MONEY,
        answer=Contest,
    ),
)
