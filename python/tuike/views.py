"""What the API shows of each entity: one function per table, from its row. Money is text, times are RFC 3339."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tuike import _core

Row = Mapping[Any, Any]
Body = dict[str, Any]

WEIGHT_UNIT = 1_000_000_000
EPOCH = date(1970, 1, 1)


def instant(ms: int) -> str:
    """RFC 3339 in UTC; milliseconds only where there are any."""
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000, tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds") + "Z"


def day(number: int) -> str:
    """The date of a day since 1970-01-01."""
    return (EPOCH + timedelta(days=number)).isoformat()


def day_number(of: date) -> int:
    """Days since 1970-01-01."""
    return (of - EPOCH).days


def days_of_month(month: str) -> tuple[int, int]:
    """The first day of a month (YYYY-MM), and the first after it."""
    first = date.fromisoformat(f"{month}-01")
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return day_number(first), day_number(following)


def merchant(row: Row) -> Body:
    names = ("id", "name", "currency", "timezone", "settlement", "refund_days", "release_when", "status")
    until = row["old_secret_until"]
    shown: Body = {"created": instant(row["created"]), "old_secret_until": instant(until) if until else None}
    dialect = None if row["dialect"] is None else json.loads(row["dialect"])
    shown |= {"dialect": dialect, "postback_token": row["tokens"] is not None}
    return {name: row[name] for name in names} | shown


def product(row: Row, rule_version: int, rule: str) -> Body:
    """`rule` is the JSON of the version in force."""
    return {
        "id": row["id"],
        "merchant": row["merchant"],
        "name": row["name"],
        "category": row["category"],
        "url": row["url"],
        "fallback_url": row["fallback_url"] or None,
        "allowed_hosts": json.loads(row["allowed_hosts"]),
        "cookie_days": row["cookie_days"],
        "hold_days": row["hold_days"],
        "pixel_conversions": row["pixel_conversions"],
        "attribution": json.loads(row["attribution"]),
        "fraud": json.loads(row["fraud"]),
        "commission": json.loads(rule),
        "rule_version": rule_version,
        "status": row["status"],
        "created": instant(row["created"]),
    }


def template(row: Row) -> Body:
    return {"owner": row["owner"], "poster": row["poster"], "texts": json.loads(row["texts"])}


def commission_for(promoter: str, commission: Body) -> Body:
    """A rule as a promoter may see it: of the overrides, the own one and those of kinds."""
    if "overrides" not in commission:
        return commission
    overrides = [one for one in commission["overrides"] if one.get("promoter", promoter) == promoter]
    return commission | {"overrides": overrides}


def promoter(row: Row) -> Body:
    return {
        "id": row["id"],
        "name": row["name"],
        "parent": row["parent"],
        "kind": row["kind"],
        "tax": json.loads(row["tax"]),
        "customers": json.loads(row["customers"]),
        "status": row["status"],
        "created": instant(row["created"]),
    }


def link(row: Row, product_url: str) -> Body:
    """`url` is where the link leads: its own target, or the product's."""
    labels = {f"sub{n}": row[f"sub{n}"] for n in range(1, 6)}
    return {
        "code": row["code"],
        "url": row["url"] or product_url,
        "promoter": row["promoter"],
        "product": row["product"],
        "channel": row["channel"],
        **labels,
        "coupon": row["coupon"],
        "expires": None if row["expires"] is None else instant(row["expires"]),
        "status": row["status"],
        "created": instant(row["created"]),
    }


def token(row: Row) -> Body:
    return {
        "id": row["id"],
        "role": f"{row['role']}:{row['subject']}" if row["subject"] else row["role"],
        "expires": None if row["expires"] is None else instant(row["expires"]),
        "revoked": bool(row["revoked"]),
        "created": instant(row["created"]),
    }


def webhook(row: Row) -> Body:
    names = ("id", "url", "status")
    shown = {name: row[name] for name in names} | {"events": json.loads(row["events"])}
    return shown | {"created": instant(row["created"])}


def invite(row: Row) -> Body:
    """`uses` is how many may still apply with it."""
    return {
        "code": row["code"],
        "parent": row["parent"],
        "uses": row["uses"],
        "expires": None if row["expires"] is None else instant(row["expires"]),
        "created": instant(row["created"]),
    }


def application(row: Row) -> Body:
    names = ("id", "invite", "promoter", "name", "note", "status", "reason")
    return {name: row[name] for name in names} | {"created": instant(row["created"])}


def settlement(row: Row) -> Body:
    """`released` are orders, `amounts` what promoters got of them."""
    amounts = row["amounts"] if isinstance(row["amounts"], dict) else json.loads(row["amounts"])
    return {
        "id": row["id"],
        "as_of": instant(row["as_of"]),
        "status": row["status"],
        "released": row["released"],
        "amounts": [
            {"currency": currency, "amount": _core.format_amount(amount, currency)}
            for currency, amount in sorted(amounts.items())
        ],
        "note": row["note"],
        "created": instant(row["created"]),
    }


def contest(row: Row) -> Body:
    """`prizes` are those of the places 1, 2 ...; `winners` are there once it is closed."""
    currency = row["currency"]
    prizes, winners = (of if not isinstance(of, str) else json.loads(of) for of in (row["prizes"], row["winners"]))
    of_money = row["metric"] in ("sales", "commission")
    return {
        "id": row["id"],
        "name": row["name"],
        "from": instant(row["since"] * 1000),
        "to": instant(row["until"] * 1000),
        "tz": row["timezone"],
        "metric": row["metric"],
        "currency": currency,
        "status": row["status"],
        "prizes": [_core.format_amount(prize, currency) for prize in prizes],
        "winners": [
            {
                "place": won["place"],
                "rank": won["rank"],
                "promoter": won["promoter"],
                "value": _core.format_amount(won["figure"], currency) if of_money else won["figure"],
                "amount": _core.format_amount(won["amount"], currency),
            }
            for won in winners
        ],
        "created": instant(row["created"]),
    }


def payout(row: Row) -> Body:
    """`basis` is the arithmetic of the tax."""
    currency = row["currency"]
    detail = row["detail"] if isinstance(row["detail"], dict) else json.loads(row["detail"])
    money = ("income", "due", "withheld")
    basis = {name: _core.format_amount(value, currency) if name in money else value for name, value in detail.items()}
    return {
        "id": row["id"],
        "promoter": row["promoter"],
        "currency": currency,
        **{name: _core.format_amount(row[name], currency) for name in ("amount", "tax", "net")},
        "status": row["status"],
        "date": day(row["day"]),
        "scheme": row["scheme"],
        "person": row["person"],
        "basis": basis,
        "note": row["note"],
        "created": instant(row["created"]),
    }


def flag(row: Row) -> Body:
    """`order` is the conversion's id."""
    names = ("id", "rule", "score", "status", "promoter", "merchant", "product")
    decided = bool(row["decided_by"])
    return {name: row[name] for name in names} | {
        "conversion": row["order"],
        "evidence": row["evidence"] if isinstance(row["evidence"], dict) else json.loads(row["evidence"]),
        "created": instant(row["created"]),
        "decided_by": row["decided_by"] if decided else None,
        "decided_at": instant(row["decided_at"]) if decided else None,
        "note": row["note"],
    }


def networks(row: Row) -> Body:
    """`networks` is how many the list has, `narrow` how many of its lines were left out."""
    count = len(json.loads(row["networks"]))
    return {"id": row["id"], "networks": count, "narrow": row["narrow"], "updated": instant(row["updated"])}


def moved(step: str, kind: str, currency: str, at: int, lines: Iterable[tuple[str, int]]) -> Body:
    """A transfer as it was decided; debits are negative."""
    entries = [{"account": name, "amount": _core.format_amount(amount, currency)} for name, amount in lines]
    return {"id": step, "kind": kind, "currency": currency, "entries": entries, "at": instant(at)}


def conversion(row: Row, shares: Iterable[Row]) -> Body:
    """`credits` are the promoters' lines as they stand now, `platform` is what is left to the platform."""
    currency = row["currency"]
    credits: list[Body] = []
    platform = 0
    for share in shares:
        if not share["promoter"]:
            platform += share["amount"]
            continue
        credits.append(
            {
                "promoter": share["promoter"],
                "level": share["level"],
                "via": share["via"],
                "weight": share["weight"] / WEIGHT_UNIT,
                "amount": _core.format_amount(share["amount"], currency),
            }
        )
    return {
        "id": row["id"],
        "order_id": row["order_id"],
        "merchant": row["merchant"],
        "product": row["product"],
        "amount": None if row["amount"] is None else _core.format_amount(row["amount"], currency),
        "currency": currency,
        "status": row["status"],
        "refunded": _core.format_amount(row["refunded"], currency),
        "model": row["model"],
        "credits": credits,
        "platform": _core.format_amount(platform, currency),
        "reason": row["reason"],
        "created": instant(row["created"]),
    }
