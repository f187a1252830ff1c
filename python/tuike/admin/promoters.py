"""/v1/promoters: the people, their tree, what they have earned."""

from typing import Any

from aiohttp import ClientError
from sqlalchemy import Connection, func, literal, select

from tuike import _core, views
from tuike.admin import answers, auth, inputs, pages, queries
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route, writes
from tuike.stores.schema import accounts, promoters

BALANCES = ("pending", "available", "reserved", "paid", "tax", "owed")


create = writes("registry", "promoter.create")
update = writes("registry", "promoter.update", "id")
set_parent = writes("registry", "promoter.parent", "id")
bind = writes("registry", "promoter.bind", "id")


async def get(call: Call) -> Body:
    return views.promoter(await call.read(_row, _own(call)))


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query, call.actor.promoter_only())


async def chain(call: Call) -> Body:
    return await call.read(_chain, call.path("id"), call.service.max_levels)


async def team(call: Call) -> Body:
    """Of the processor beside us, which has the tree in memory; where there is none, the tables are walked."""
    id = _own(call)
    if not call.service.member:
        try:
            async with call.service.processor.get("/teams", params={"id": id}) as answer:
                if answer.status == 200:
                    _, total, by_level = await answer.json()
                    return _counted(total, {str(level): count for level, count in enumerate(by_level, 1)})
        except (ClientError, OSError, TimeoutError):
            pass
    return await call.read(_team, id)


async def balance(call: Call) -> Body:
    return await call.read(_balance, _own(call))


def _own(call: Call) -> str:
    """The promoter of the path, where this actor may see it."""
    auth.check_subject(call.actor.promoter_only(), call.path("id"), "promoter")
    return call.path("id")


def _row(connection: Connection, id: str) -> Any:
    row = connection.execute(select(promoters).where(promoters.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"promoter {id}")
    return row


def _page(connection: Connection, query: queries.Promoters, only: str) -> Body:
    statement = select(promoters)
    if only:
        statement = statement.where(promoters.c.id == only)
    if query.parent:
        statement = statement.where(promoters.c.parent == query.parent)
    if query.roots:
        statement = statement.where(promoters.c.parent.is_(None))
    if query.kind:
        statement = statement.where(promoters.c.kind == query.kind)
    return pages.page(connection, statement, promoters.c.id, views.promoter, cursor=query.cursor, limit=query.limit)


def _chain(connection: Connection, id: str, max_levels: int) -> Body:
    """Level 1 is the promoter, 2 the parent, 3 the grandparent."""
    line: list[Body] = []
    above: str | None = id
    while above is not None and len(line) < max_levels:
        line.append({"level": len(line) + 1, "id": above})
        above = _row(connection, above)["parent"]
    return {"chain": line}


def _team(connection: Connection, id: str) -> Body:
    """How many are below, on each level: 1 are the direct ones."""
    _row(connection, id)
    below = (
        select(promoters.c.id, literal(1).label("level")).where(promoters.c.parent == id).cte("below", recursive=True)
    )
    below = below.union_all(
        select(promoters.c.id, below.c.level + 1).join_from(promoters, below, promoters.c.parent == below.c.id)
    )
    counts = connection.execute(select(below.c.level, func.count()).group_by(below.c.level).order_by(below.c.level))
    by_level = {str(level): count for level, count in counts}
    return _counted(sum(by_level.values()), by_level)


def _counted(total: int, by_level: dict[str, int]) -> Body:
    return {"direct": by_level.get("1", 0), "total": total, "by_level": by_level}


def _balance(connection: Connection, id: str) -> Body:
    _row(connection, id)
    names = {f"promoter:{id}:{kind}": kind for kind in BALANCES}
    sums: dict[str, dict[str, int]] = {}
    found = select(accounts).where(accounts.c.name.in_(names)).order_by(accounts.c.currency)
    for row in connection.execute(found).mappings():
        kind = names[row["name"]]
        # a debt is below 0 in the ledger
        balance = -row["balance"] if kind == "owed" else row["balance"]
        sums.setdefault(row["currency"], dict.fromkeys(BALANCES, 0))[kind] = balance
    return {
        "items": [
            {"currency": currency} | {kind: _core.format_amount(amount, currency) for kind, amount in kinds.items()}
            for currency, kinds in sums.items()
        ]
    }


OWN = auth.READERS | auth.PROMOTER

ROUTES = (
    Route(
        "POST",
        "/v1/promoters",
        create,
        "Create a promoter",
        auth.ADMIN,
        body=inputs.PromoterBody,
        answer=answers.Promoter,
        status=201,
    ),
    Route("GET", "/v1/promoters", page, "Promoters by id", OWN, query=queries.Promoters, answer=answers.Promoters),
    Route("GET", "/v1/promoters/{id}", get, "A promoter", OWN, answer=answers.Promoter),
    Route(
        "PATCH",
        "/v1/promoters/{id}",
        update,
        "Change a promoter",
        auth.ADMIN,
        body=inputs.PromoterPatch,
        answer=answers.Promoter,
    ),
    Route(
        "PUT",
        "/v1/promoters/{id}/parent",
        set_parent,
        "Set the parent from now on; the past stands",
        auth.ADMIN,
        body=inputs.ParentBody,
        answer=answers.Promoter,
    ),
    Route(
        "POST",
        "/v1/promoters/{id}/bind",
        bind,
        "Set the parent once: the first wins",
        auth.ADMIN,
        body=inputs.BindBody,
        answer=answers.Promoter,
    ),
    Route("GET", "/v1/promoters/{id}/chain", chain, "The line upwards", auth.READERS, answer=answers.Chain),
    Route("GET", "/v1/promoters/{id}/team", team, "How many are below", OWN, answer=answers.Team),
    Route("GET", "/v1/promoters/{id}/balance", balance, "Balances per currency", OWN, answer=answers.Balance),
)
