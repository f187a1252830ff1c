"""/v1/ledger: the books, read only."""

from sqlalchemy import Connection, RowMapping, select

from tuike import _core, views
from tuike.admin import answers, auth, pages, queries
from tuike.admin.auth import Actor
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route
from tuike.stores.schema import accounts, conversions, entries, transfers


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query)


async def account_page(call: Call) -> Body:
    query: queries.Page = call.query
    return await call.read_copy(_account_page, query)


async def account(call: Call) -> Body:
    return await call.read(_account, call.path("id"), call.actor)


def _page(connection: Connection, query: queries.Transfers) -> Body:
    statement = select(transfers, conversions.c.id.label("order")).outerjoin(
        conversions, conversions.c.number == transfers.c.conversion
    )
    if query.conversion:
        statement = statement.where(conversions.c.id == query.conversion)
    if query.account:
        on_account = (
            select(entries.c.transfer)
            .join_from(entries, accounts, accounts.c.id == entries.c.account)
            .where(accounts.c.name == query.account)
        )
        statement = statement.where(transfers.c.number.in_(on_account))
    rows, following = pages.fetch(connection, statement, transfers.c.number, cursor=query.cursor, limit=query.limit)
    lines: dict[int, list[RowMapping]] = {}
    found = (
        select(entries.c.transfer, accounts.c.name, entries.c.amount)
        .join_from(entries, accounts, accounts.c.id == entries.c.account)
        .where(entries.c.transfer.in_([row["number"] for row in rows]))
        .order_by(entries.c.transfer, entries.c.position)
    )
    for line in connection.execute(found).mappings():
        lines.setdefault(line["transfer"], []).append(line)
    return {"items": [_view(row, lines.get(row["number"], [])) for row in rows], "next": following}


def _view(row: RowMapping, lines: list[RowMapping]) -> Body:
    currency = row["currency"]
    return {
        "number": row["number"],
        "id": f"{row['order']}:{row['step']}" if row["order"] else row["step"],
        "kind": row["kind"],
        "conversion": row["order"],
        "currency": currency,
        "entries": [
            {"account": line["name"], "amount": _core.format_amount(line["amount"], currency)} for line in lines
        ],
        "at": views.instant(row["at"]),
        "hash": row["hash"].hex(),
    }


def _account_page(connection: Connection, query: queries.Page) -> Body:
    return pages.page(connection, select(accounts), accounts.c.id, _balance, cursor=query.cursor, limit=query.limit)


def _balance(row: RowMapping) -> Body:
    balance = _core.format_amount(row["balance"], row["currency"])
    return {"account": row["name"], "currency": row["currency"], "balance": balance}


def _account(connection: Connection, name: str, actor: Actor) -> Body:
    if actor.role in auth.SCOPED and not name.startswith(f"{actor.role}:{actor.subject}:"):
        raise not_found(f"account {name}")
    found = select(accounts).where(accounts.c.name == name).order_by(accounts.c.currency)
    items = [_balance(row) for row in connection.execute(found).mappings()]
    if not items:
        raise not_found(f"account {name}")
    return {"id": name, "items": items}


ROUTES = (
    Route(
        "GET",
        "/v1/ledger/transfers",
        page,
        "Transfers in the order of booking; entries sum to zero, debits are negative",
        auth.READERS,
        query=queries.Transfers,
        answer=answers.Transfers,
    ),
    Route(
        "GET",
        "/v1/ledger/accounts",
        account_page,
        "Balances of all accounts, the oldest first",
        auth.READERS,
        query=queries.Page,
        answer=answers.Accounts,
    ),
    Route(
        "GET",
        "/v1/ledger/accounts/{id}",
        account,
        "An account's balance per currency",
        auth.READERS | auth.SCOPED,
        answer=answers.Account,
    ),
)
