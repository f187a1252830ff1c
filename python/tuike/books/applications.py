"""Applies writes about new promoters: invitations, applications by them, and what an admin says to each."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, select, update

from tuike import views
from tuike.books.records import Outcome, Refusal
from tuike.books.registry import Body, Change, Context, fingerprint, promoter_create
from tuike.stores.schema import applications, invites, promoters

WAITING, APPROVED, REJECTED = "waiting", "approved", "rejected"


def invite_create(context: Context, data: Body) -> Change:
    body = fingerprint(data)
    standing = _row(context, select(invites).where(invites.c.code == data["code"]))
    if standing is not None:
        if standing["body"] != body:
            raise Refusal("conflict", "this code is taken, by another body", http=409)
        return Change(Outcome.applied(views.invite(standing)))
    if data.get("parent") is not None and data["parent"] not in context.registry.promoters:
        raise Refusal("unknown_parent", f"there is no promoter {data['parent']!r}")
    row = {"code": data["code"], "parent": data.get("parent"), "uses": data["uses"], "expires": data.get("expires")}
    row |= {"created": context.at, "body": body}
    context.connection.execute(insert(invites).values(row))
    return Change(Outcome.applied(views.invite(row), http=201), f"invite:{row['code']}")


def apply(context: Context, data: Body) -> Change:
    """An application uses the invitation up, whatever becomes of it: a code that leaks is worth its uses, no more."""
    invite = _row(context, select(invites).where(invites.c.code == data["invite"]))
    ended = invite is not None and invite["expires"] is not None and invite["expires"] <= context.at
    if invite is None or ended or not invite["uses"]:
        raise Refusal("unknown_invite", "there is no such invitation, or it was used up", http=404)
    code = data["promoter"]
    wanted = select(applications).where(applications.c.promoter == code, applications.c.status == WAITING)
    taken = _row(context, select(promoters).where(promoters.c.id == code))
    if taken is not None or _row(context, wanted) is not None:
        raise Refusal("taken", f"the code {code!r} is taken", http=409)
    row = {"id": context.event, "number": context.number, "invite": invite["code"], "promoter": code}
    row |= {"name": data["name"], "note": data["note"], "status": WAITING, "reason": "", "created": context.at}
    context.connection.execute(insert(applications).values(row))
    less = update(invites).where(invites.c.code == invite["code"]).values(uses=invite["uses"] - 1)
    context.connection.execute(less)
    return Change(Outcome.applied(views.application(row), http=201), f"application:{row['id']}")


def approve(context: Context, data: Body) -> Change:
    """The promoter is made, under whom the invitation says."""
    row = _waiting(context, data["id"])
    invite = _row(context, select(invites).where(invites.c.code == row["invite"]))
    if _row(context, select(promoters).where(promoters.c.id == row["promoter"])) is not None:
        raise Refusal("taken", f"the code {row['promoter']!r} is taken by now", http=409)
    parent = None if invite is None else invite["parent"]
    made = promoter_create(context, {"id": row["promoter"], "name": row["name"], "parent": parent})
    return _decided(context, row, APPROVED, "", made.entries)


def reject(context: Context, data: Body) -> Change:
    return _decided(context, _waiting(context, data["id"]), REJECTED, data["reason"], [])


def _waiting(context: Context, id: str) -> Body:
    row = _row(context, select(applications).where(applications.c.id == id))
    if row is None:
        raise Refusal("unknown_application", f"there is no application {id!r}", http=404)
    if row["status"] != WAITING:
        raise Refusal("decided", f"it was {row['status']} already", http=409)
    return row


def _decided(context: Context, row: Body, status: str, reason: str, entries: list[Body]) -> Change:
    row |= {"status": status, "reason": reason}
    decided = update(applications).where(applications.c.id == row["id"]).values(status=status, reason=reason)
    context.connection.execute(decided)
    return Change(Outcome.applied(views.application(row)), f"application:{row['id']}", entries)


def _row(context: Context, statement: Any) -> Body | None:
    row = context.connection.execute(statement).mappings().one_or_none()
    return None if row is None else dict(row)


OPERATIONS: dict[str, Callable[[Context, Body], Change]] = {
    "invite.create": invite_create,
    "application.create": apply,
    "application.approve": approve,
    "application.reject": reject,
}
