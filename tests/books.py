"""The books of an instance as plain values, to compare two of them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

QUERIES = {
    "accounts": "SELECT name, currency, balance FROM accounts ORDER BY 1, 2",
    "orders": """SELECT merchant, order_id, product, amount, currency, status, refunded, model, reason
                 FROM conversions ORDER BY 1, 2, 3""",
    "templates": "SELECT owner, poster, texts FROM templates ORDER BY 1",
    "shares": """SELECT c.merchant, c.order_id, c.product, s.position, s.promoter, s.level, s.via, s.weight,
                        s.original, s.amount
                 FROM shares s JOIN conversions c ON c.number = s.conversion ORDER BY 1, 2, 3, 4""",
    "hits": """SELECT merchant, product, promoter, channel, label_number, label,
                      sum(impressions), sum(clicks), sum(bots), sum(prefetches)
               FROM rollups GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6""",
    "sales": """SELECT merchant, product, promoter, channel, label_number, label, currency,
                       sum(conversions), sum(sales), sum(commission)
                FROM order_rollups GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7""",
}


def books(data: Path, *but: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the database of a data directory says; times and numbers of the books left out."""
    with closing(sqlite3.connect(f"file:{data / 'books.sqlite'}?mode=ro", uri=True)) as connection:
        return {name: connection.execute(query).fetchall() for name, query in QUERIES.items() if name not in but}


def differences(one: dict[str, list[tuple[Any, ...]]], other: dict[str, list[tuple[Any, ...]]]) -> str:
    """Rows that only one of them has, a few of each; empty where they are equal."""
    found = {}
    for name, rows in one.items():
        left, right = set(rows), set(other[name])
        if left != right or len(rows) != len(other[name]):
            found[name] = {
                "only first": sorted(left - right, key=repr)[:5],
                "only second": sorted(right - left, key=repr)[:5],
            }
    return json.dumps(found, indent=1) if found else ""


def outcomes(data: Path) -> dict[str, str]:
    """What became of each order, claim and write: event id to status."""
    with closing(sqlite3.connect(f"file:{data / 'books.sqlite'}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT event_id, status FROM outcomes"))
