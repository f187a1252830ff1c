"""/v1/invites and /v1/applications: new promoters apply with a code that an admin gave out, and an admin decides.

To apply takes no token. What names no invitation that stands, or wants a code that is taken, is refused before it is
journalled, and each invitation is worth its uses: a stranger can fill neither the disk nor the queue."""

from dataclasses import replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, select

from tuike import views
from tuike.admin import auth, inputs, pages, queries
from tuike.admin.answers import Answer as Shape
from tuike.admin.answers import Next
from tuike.admin.auth import Actor
from tuike.admin.inputs import MAX_REASON, Code, Input, Instant, Name
from tuike.admin.problems import Problem, not_found
from tuike.admin.queries import Page
from tuike.admin.routes import Answer, Body, Call, Route, answer_of, writes
from tuike.admin.writes import Outcome
from tuike.stores.schema import applications, idempotency, invites, outcomes, promoters

MAX_USES = 1_000
Status = Literal["waiting", "approved", "rejected"]


class InviteBody(Input):
    """Who applies with it comes under `parent`."""

    code: Code
    parent: Code | None = None
    uses: Annotated[int, Meta(ge=1, le=MAX_USES)] = 1
    expires: Instant | None = None


class ApplicationBody(Input):
    """`promoter` is the code that is wanted."""

    invite: Code
    promoter: Code
    name: Name
    note: Annotated[str, Meta(max_length=MAX_REASON)] = ""


class Applications(Page):
    """The newest first."""

    status: Literal["", "waiting", "approved", "rejected"] = ""


class Invite(Shape):
    """`uses` is how many may still apply with it."""

    code: str
    parent: str | None
    uses: int
    expires: str | None
    created: str


class Invites(Shape):
    items: list[Invite]
    next: Next


class Application(Shape):
    id: str
    invite: str
    promoter: str
    name: str
    note: str
    status: Status
    reason: str
    created: str


class ApplicationPage(Shape):
    items: list[Application]
    next: Next


class ApplicationStatus(Shape):
    """What an applicant may ask; the id is known to nobody else."""

    id: str
    promoter: str
    status: Status
    reason: str


invite = writes("registry", "invite.create")


async def invited(call: Call) -> Body:
    return await call.read_copy(_invites, call.query)


async def apply(call: Call) -> Answer:
    body: ApplicationBody = call.body
    as_invited = replace(call, actor=Actor(f"invite:{body.invite}", "none"))
    if answer := await call.read(_answered, as_invited):
        return answer
    await call.read(_check, body, call.service.clock())
    return await as_invited.write("registry", "application.create", inputs.data(body))


async def standing(call: Call) -> Body:
    return await call.read(_standing, call.path("id"))


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query)


approve = writes("registry", "application.approve", "id")
reject = writes("registry", "application.reject", "id")


def _answered(connection: Connection, call: Call) -> Answer | None:
    """A repeat under its Idempotency-Key is answered by what the books know, and journalled no more."""
    if call.idempotency_key is None:
        return None
    asked = select(idempotency.c.fingerprint, outcomes).join(outcomes, outcomes.c.event_id == idempotency.c.event_id)
    kept = asked.where(idempotency.c.key == f"{call.actor.name} {call.idempotency_key}")
    row = connection.execute(kept).one_or_none()
    if row is None:
        return None
    if row.fingerprint != call.fingerprint:
        raise Problem("idempotency_conflict", "this Idempotency-Key was used with another request", status=422)
    return answer_of(row.event_id, Outcome(row.number, row.http, row.code, msgspec.json.decode(row.result)))


def _check(connection: Connection, body: ApplicationBody, now: int) -> None:
    """What the books would refuse, and what would cost the invitation nothing, is refused here."""
    row = connection.execute(select(invites).where(invites.c.code == body.invite)).one_or_none()
    if row is None or not row.uses or (row.expires is not None and row.expires <= now):
        raise not_found("such invitation")
    made = select(promoters.c.id).where(promoters.c.id == body.promoter)
    wanted = select(applications.c.id).where(
        applications.c.promoter == body.promoter, applications.c.status == "waiting"
    )
    if connection.execute(made).first() or connection.execute(wanted).first():
        raise Problem("taken", f"the code {body.promoter!r} is taken", status=409)


def _invites(connection: Connection, query: Page) -> Body:
    return pages.page(connection, select(invites), invites.c.code, views.invite, cursor=query.cursor, limit=query.limit)


def _standing(connection: Connection, id: str) -> Body:
    row = connection.execute(select(applications).where(applications.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"application {id}")
    return {name: row[name] for name in ("id", "promoter", "status", "reason")}


def _page(connection: Connection, query: Applications) -> Body:
    statement = select(applications)
    if query.status:
        statement = statement.where(applications.c.status == query.status)
    return pages.page(
        connection,
        statement,
        applications.c.number,
        views.application,
        cursor=query.cursor,
        limit=query.limit,
        newest_first=True,
    )


ANYONE: frozenset[str] = frozenset()

OPEN = (
    Route(
        "POST",
        "/v1/applications",
        apply,
        "Apply to be a promoter, with the code of an invitation",
        ANYONE,
        body=ApplicationBody,
        answer=Application,
        status=201,
    ),
    Route(
        "GET",
        "/v1/applications/{id}/status",
        standing,
        "What became of one's application",
        ANYONE,
        answer=ApplicationStatus,
    ),
)
ROUTES = (
    Route(
        "POST",
        "/v1/invites",
        invite,
        "Make an invitation for new promoters",
        auth.ADMIN,
        body=InviteBody,
        answer=Invite,
        status=201,
    ),
    Route("GET", "/v1/invites", invited, "Invitations by code", auth.READERS, query=queries.Page, answer=Invites),
    Route(
        "GET",
        "/v1/applications",
        page,
        "Applications, the newest first",
        auth.READERS,
        query=Applications,
        answer=ApplicationPage,
    ),
    Route(
        "POST",
        "/v1/applications/{id}/approve",
        approve,
        "Approve an application: the promoter is made",
        auth.ADMIN,
        answer=Application,
    ),
    Route(
        "POST",
        "/v1/applications/{id}/reject",
        reject,
        "Reject an application",
        auth.ADMIN,
        body=inputs.DecisionBody,
        answer=Application,
    ),
)
