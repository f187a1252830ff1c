"""/v1/exports: whole lists as CSV or NDJSON, streamed. The memory that one takes is that of a page, whatever its size.

Rows come by their key up to the last that was there at the beginning, each page as it stands when it is read: no
transaction stays open for a reader that is slow.
"""

import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from tuike.admin import auth, export_tables, queries, tables
from tuike.admin.export_tables import Table
from tuike.admin.routes import Call, Handler, Route

ROWS_PER_PAGE = 2_000
NDJSON = "application/x-ndjson"

log = logging.getLogger(__name__)


class Pages:
    """The export of one request, page by page."""

    def __init__(self, table: Table, call: Call) -> None:
        csv = call.query.format == "csv"
        self._call = call
        self._table = table
        self._statement = table.select(call)
        self._encode: Callable[[list[Any], Call], bytes] = table.csv if csv else table.ndjson
        self._head = table.head() if csv else b""
        self._after: tuple[Any, ...] | None = None
        self._last: Any = None
        self.ended = False

    def next(self, connection: Connection) -> bytes:
        """The next page, encoded; the first begins with the header of CSV."""
        key = self._table.key
        head, self._head = self._head, b""
        if self._last is None:
            self._last = connection.scalar(select(func.max(key[0])))
        if self._last is None:
            self.ended = True
            return head
        statement = self._statement.where(key[0] <= self._last).order_by(*key).limit(ROWS_PER_PAGE)
        if self._after is not None:
            statement = statement.where(_behind(key, self._after))
        rows = connection.execute(statement).all()
        self.ended = len(rows) < ROWS_PER_PAGE
        if rows:
            self._after = tuple(rows[-1][: len(key)])
        return head + self._encode([row[len(key) :] for row in rows], self._call)


def _behind(key: tuple[ColumnElement[Any], ...], after: tuple[Any, ...]) -> ColumnElement[bool]:
    if len(key) == 1:
        only: ColumnElement[bool] = key[0] > after[0]
        return only
    # the first bound is what all three databases walk their index by
    return and_(key[0] >= after[0], or_(key[0] > after[0], key[1] > after[1]))


def _streams(name: str, table: Table) -> Handler:
    async def export(call: Call) -> web.StreamResponse:
        pages = Pages(table, call)
        # what is wrong is said before anything is sent
        page = await call.read_copy(pages.next)
        csv = call.query.format == "csv"
        response = web.StreamResponse(headers=tables.headers(f"{name}.{call.query.format}"))
        response.content_type = tables.MEDIA if csv else NDJSON
        response.charset = "utf-8"
        await response.prepare(call.request)
        if call.request.method == "HEAD":
            return response
        try:
            while True:
                await response.write(page)
                if pages.ended:
                    break
                page = await call.read_copy(pages.next)
            await response.write_eof()
        except ConnectionError:
            pass  # nobody reads on
        except Exception:
            # the head says 200 already: only a broken connection tells that it is not whole
            log.exception("export of %s", name)
            if call.request.transport is not None:
                call.request.transport.abort()
        return response

    return export


def _route(name: str, table: Table, summary: str, roles: frozenset[str], query: type[queries.Export]) -> Route:
    return Route(
        "GET",
        f"/v1/exports/{name}",
        _streams(name, table),
        summary,
        roles,
        query=query,
        answer=str,
        media=tables.MEDIA,
        also=NDJSON,
    )


READ = auth.READERS | auth.SCOPED
OWN = auth.READERS | auth.PROMOTER

ROUTES = (
    _route("conversions", export_tables.CONVERSIONS, "Orders, the oldest first", READ, queries.ExportOrders),
    _route("credits", export_tables.CREDITS, "Each promoter's line of each order", READ, queries.ExportOrders),
    _route("transfers", export_tables.ENTRIES, "The ledger, an entry a line", auth.READERS, queries.Export),
    _route("payouts", export_tables.PAYOUTS, "Payouts, the oldest first", OWN, queries.Export),
    _route("promoters", export_tables.PROMOTERS, "Promoters by id", OWN, queries.Export),
    _route("links", export_tables.LINKS, "Links by code", OWN, queries.Export),
)
