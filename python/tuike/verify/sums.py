"""Tables that sum orders up: budgets, funding, what is due, the reports."""

from sqlalchemy import Connection, and_, func, not_, or_, select

from tuike.faults import Found
from tuike.stores.bulk import stream
from tuike.stores.schema import (
    accounts,
    budgets,
    conversions,
    dues,
    entries,
    funding,
    level_sums,
    order_rollups,
    outcomes,
    refused,
    releases,
    set_aside_sums,
    shares,
    transfers,
    waiting,
)
from tuike.stores.tiles import date_of
from tuike.verify.booked import Left
from tuike.verify.orders import Sums


def check_budgets(connection: Connection, sums: Sums) -> str:
    """What a product's budget of a day has paid is what its orders stand at."""
    kept = {(product, currency, day): amount for product, currency, day, amount in stream(connection, select(budgets))}
    for key in sorted(kept.keys() | sums.budgets.keys()):
        if kept.get(key, 0) != sums.budgets.get(key, 0):
            place = f"budget of {key[0]} {key[1]} on {date_of(key[2])}"
            raise Found(place, f"{kept.get(key, 0)} spent, its orders stand at {sums.budgets.get(key, 0)}")
    return f"{len(kept)} days of products with one"


def check_funding(connection: Connection, sums: Sums) -> str:
    """What a merchant has paid in is what was transferred; what was released, what its released orders stand at."""
    paid_in = dict(_paid_in(connection))
    rows = {(row.merchant, row.currency): row for row in connection.execute(select(funding))}
    for key in sorted(rows.keys() | sums.released.keys() | paid_in.keys()):
        funded, released = (rows[key].funded, rows[key].released) if key in rows else (0, 0)
        place = f"funding of merchant {key[0]} {key[1]}"
        if funded != paid_in.get(key, 0):
            raise Found(place, f"{funded} paid in, the ledger has {paid_in.get(key, 0)}")
        if released != sums.released.get(key, 0):
            raise Found(place, f"{released} released, its released orders stand at {sums.released.get(key, 0)}")
    return f"{len(rows)} merchants' accounts"


def _paid_in(connection: Connection) -> list[tuple[tuple[str, str], int]]:
    found = (
        select(accounts.c.name, accounts.c.currency, func.sum(entries.c.amount))
        .join_from(transfers, entries, entries.c.transfer == transfers.c.number)
        .join(accounts, accounts.c.id == entries.c.account)
        .where(transfers.c.conversion == 0, transfers.c.kind == "fund", accounts.c.name.like("merchant:%"))
        .group_by(accounts.c.name, accounts.c.currency)
    )
    return [((name.split(":")[1], currency), amount) for name, currency, amount in connection.execute(found)]


def check_dues(connection: Connection, sums: Sums) -> str:
    """What is due is what is approved and not released, with what its release asks of it."""
    is_due = and_(conversions.c.due != 0, conversions.c.status == "approved", releases.c.number.is_(None))
    copied = [
        dues.c[name] == conversions.c[name] for name in ("due", "merchant", "product", "currency", "rule_version")
    ]
    stray = (
        select(dues.c.conversion)
        .outerjoin(conversions, conversions.c.number == dues.c.conversion)
        .outerjoin(releases, releases.c.conversion == dues.c.conversion)
        .where(or_(conversions.c.number.is_(None), not_(and_(is_due, *copied))))
        .limit(1)
    )
    if (number := connection.scalar(stray)) is not None:
        raise Found(f"due of number {number}", "no such order waits for its release then")
    rows = connection.scalar(select(func.count()).select_from(dues))
    if rows != sums.due:
        lacking = (
            select(conversions.c.id)
            .outerjoin(releases, releases.c.conversion == conversions.c.number)
            .outerjoin(dues, and_(dues.c.conversion == conversions.c.number, dues.c.due == conversions.c.due))
            .where(is_due, dues.c.due.is_(None))
            .limit(1)
        )
        raise Found(f"conversion {connection.scalar(lacking)}", "it is not among what is due")
    return f"{rows} orders to be released"


def check_refused(connection: Connection) -> str:
    """What the list of postbacks that did not count says of each is what became of it."""
    same = and_(outcomes.c.event_id == refused.c.event_id, outcomes.c.status == "set_aside")
    stray = (
        select(refused.c.event_id)
        .outerjoin(outcomes, and_(same, outcomes.c.code == refused.c.code, outcomes.c.number == refused.c.number))
        .where(outcomes.c.event_id.is_(None))
        .limit(1)
    )
    if (event := connection.scalar(stray)) is not None:
        raise Found(f"refused postback {event}", "it was not set aside so")
    return f"{connection.scalar(select(func.count()).select_from(refused))} postbacks that did not count"


def check_watched(connection: Connection) -> str:
    """What /metrics shows is what there is to count."""
    paid = and_(shares.c.conversion == conversions.c.number, shares.c.promoter != "")
    level = func.coalesce(shares.c.level, 0)
    key = (conversions.c.product, level, conversions.c.currency)
    counted = select(
        *key,
        func.count(conversions.c.number.distinct()),
        func.count(shares.c.conversion),
        func.coalesce(func.sum(shares.c.original), 0),
    )
    kept = level_sums.c
    pairs = (
        (
            select(level_sums).where(kept.conversions != 0),
            counted.outerjoin_from(conversions, shares, paid).group_by(*key),
        ),
        (
            select(set_aside_sums).where(set_aside_sums.c.messages != 0),
            select(outcomes.c.code, func.count())
            .where(outcomes.c.status == "set_aside", outcomes.c.kind.not_in(("registry", "decision")))
            .group_by(outcomes.c.code),
        ),
    )
    for sums, tables in pairs:
        here, there = ({tuple(row) for row in connection.execute(query)} for query in (sums, tables))
        for row in sorted(here ^ there):
            raise Found(f"sums for /metrics {row[:-1]}", "they are not what the tables come to")
    return "sums for /metrics"


def check_waiting(connection: Connection, left: Left) -> str:
    """Refunds wait for their orders as they were booked."""
    found = {row.event_id: (row.conversion, row.number) for row in connection.execute(select(waiting))}
    wanted = {event: (waits.conversion, waits.number) for event, waits in left.waiting.items()}
    for event in sorted(found.keys() | wanted.keys()):
        if found.get(event) != wanted.get(event):
            raise Found(f"waiting refund {event}", "it does not wait as it was booked")
    return f"{len(found)} refunds wait for their orders"


def check_reports(connection: Connection, sums: Sums) -> str:
    """Conversions, sales and commission in the reports are those of the credited orders."""
    kept = order_rollups.c
    key = (kept.merchant, kept.product, kept.currency)
    reported = (
        select(*key, func.sum(kept.conversions), func.sum(kept.sales), func.sum(kept.commission))
        .where(kept.label_number == 0)
        .group_by(*key)
    )
    lines = {tuple(row[:3]): tuple(row[3:]) for row in connection.execute(reported)}
    orders = {key: tuple(figures) for key, figures in sums.reported.items()}
    for of in sorted(orders.keys() | lines.keys()):
        order, line = orders.get(of, (0, 0, 0)), lines.get(of, (0, 0, 0))
        if order != line:
            detail = f"conversions, sales, commission are {order}, the reports say {line}"
            raise Found(f"merchant {of[0]} product {of[1]} {of[2]}", detail)
    return f"{sum(order[0] for order in orders.values())} conversions"
