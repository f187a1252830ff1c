"""The touch store in SQL: a table for each UTC day, written in the transaction of its position (`touches`).

Keys and records are those of the embedded store (core_rs/src/touches/rows.rs), so a path is one range of keys in each
day's table, and expiry is dropping tables. Clicks that bind their customers stand a second time, in a table that no
day takes with it.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Column, Connection, Engine, LargeBinary, MetaData, Table, inspect
from sqlalchemy import Row as SqlRow
from sqlalchemy.exc import DBAPIError

from tuike import _core
from tuike.stores.bulk import Bulk, missing

DAY_MS = 86_400_000
KEY_BYTES = 1_200
"""More than the longest key: the edge refuses longer values, and merchants' ids have 64 at most."""
ID_BYTES = 16
MAX_PATH = 2_000
"""A path longer than this is cut to its newest touches."""
MAX_LOOKED_AT = 200
"""Of a visitor's, a customer's or a fingerprint's hits fraud rules look at the newest."""
MAX_BINDINGS = 1_000
"""Of more clicks that bind one customer, the first and the newest half are looked at."""
PREFIX = "touches_"
BINDINGS = "touch_bindings"
AFTER_RECORDS = b"\1"
"""Keys of records are below it, those by which they are found are not."""
RECORDS_PER_SELECT = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COUNTS = ("address_clicks", "fingerprint_visitors", "devices", "clicks_before", "agents")
NEWEST_FIRST, OLDEST_FIRST = "DESC", "ASC"

# The key of the record that an entry leads to: a zero and the id at its end.
_RECORD_KEYS = {
    "postgresql": f"'\\x00'::bytea || substring({{entry}} FROM length({{entry}}) - {ID_BYTES - 1})",
    "mysql": f"concat(x'00', right({{entry}}, {ID_BYTES}))",
    "sqlite": f"CAST(x'00' || substr({{entry}}, -{ID_BYTES}) AS BLOB)",
}

Row = tuple[bytes, bytes]
Rows = tuple[list[tuple[int, list[Row]]], list[Row]]
"""As `_core.Batch.touch_rows` gives them."""
Kind = Literal["visitor", "cust", "did", "fingerprint", "address"]


class SqlTouches:
    """The touch store of a database: `prepare` and `put` are for who folds hits, the rest for who books orders."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writes: dict[str, Bulk] = {}
        """Of the tables that are known to be there."""
        self._connection: Connection | None = None
        self._clicks: dict[str, dict[str, Any] | None] = {}
        """Those that were looked up since `begin`: an order's is asked for twice."""
        self._days: list[int] = []
        """Those that have a table, as of `begin`."""

    # --- what is written ---------------------------------------------------------------------------

    def prepare(self, rows: Rows) -> None:
        """Makes the tables of a batch, where there are none, in a transaction of its own: before the one that writes
        them."""
        for name in _names(rows):
            if name not in self._writes:
                table = _table(name)
                _make(self._engine, table)
                self._writes[name] = missing(table)

    def put(self, connection: Connection, rows: Rows) -> None:
        """Adds the entries of a batch; what is there already stays as it is."""
        days, bindings = rows
        for name, some in [*((_name(day), some) for day, some in days), (BINDINGS, bindings)]:
            if some and not (connection.dialect.name == "postgresql" and _copied(connection, name, some)):
                self._writes[name].run(connection, some)

    def forget(self) -> None:
        """After a transaction that failed: a day's table may have been dropped meanwhile."""
        self._writes = {}

    def drop_before(self, instant: int) -> int:
        """Drops the days that ended at or before `instant` (ms); how many there were."""
        with self._engine.connect() as connection:
            gone = [day for day in _days_of(connection) if day < instant // DAY_MS]
        for day in gone:
            with self._engine.begin() as connection:
                _table(_name(day)).drop(connection)
        self.forget()
        return len(gone)

    def erase(self, connection: Connection, row: SqlRow[Any], erasure: _core.Erasure, merchants: Sequence[str]) -> int:
        """Writes the touches of a row of `erasures` again under its fresh id; how many there were. They stay where they
        were found by fingerprint until their day is dropped: its day's key is destroyed long before."""
        self.begin(connection)
        kind: Kind = "visitor" if row.kind == "visitor" else "cust"
        touches = 0
        for merchant in [row.merchant] if row.merchant else merchants:
            keys = _core.touch_range(kind, merchant, row.subject, 0, row.at)
            if keys is None:
                continue
            for day in self._days:
                entries = [key for key, _ in self._ask_range(_name(day), keys)]
                records = self._records([(day, [b"\0" + key[-ID_BYTES:] for key in entries])]) if entries else []
                touches += self._replace(connection, _name(day), erasure, records, binds=False)
            if inspect(connection).has_table(BINDINGS):
                self._replace(connection, BINDINGS, erasure, self._ask_range(BINDINGS, keys), binds=True)
        return touches

    def _ask_range(self, table: str, keys: tuple[bytes, bytes]) -> list[Row]:
        return self._ask(f"SELECT entry, record FROM {table} WHERE entry BETWEEN {self._mark} AND {self._mark}", keys)  # noqa: S608

    def _replace(
        self, connection: Connection, name: str, erasure: _core.Erasure, records: Sequence[Row], *, binds: bool
    ) -> int:
        table = _table(name)
        touches = 0
        for _, record in records:
            rewritten = erasure.rewrite_touch(record, binds)
            if rewritten is not None:
                gone, come = rewritten
                touches += 1
                connection.execute(table.delete().where(table.c.entry.in_({*gone, *(key for key, _ in come)})))
                connection.execute(table.insert(), [{"entry": key, "record": record} for key, record in come])
        return touches

    # --- what is looked up -------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Looks up by this connection from now on: what was committed before its transaction began is there."""
        self._connection = connection
        self._days = _days_of(connection)
        self._clicks = {}

    def click(self, id: str) -> dict[str, Any] | None:
        """The click of this id. ValueError: it is none."""
        if id not in self._clicks:
            self._clicks[id] = self._find_click(id)
        return self._clicks[id]

    def _find_click(self, id: str) -> dict[str, Any] | None:
        key = _core.touch_key(id)
        likely = int(id[:12], 16) // DAY_MS
        others = [day for day in reversed(self._days) if day != likely]
        for days in ([likely] if likely in self._days else [], others):
            for _, record in self._records([(day, [key]) for day in days]):
                fields = _core.decode_touch(record)
                return fields if fields["kind"] == "click" else None
        return None

    def days(self) -> list[int]:
        """As `_core.TouchStore.days`."""
        return self._days

    def newest_of_day(self, day: int, before: str, most: int) -> list[bytes]:
        """As `_core.TouchStore.newest_of_day`."""
        end = _core.touch_key(before) if before else AFTER_RECORDS
        sql = f"SELECT entry, record FROM {_name(day)} WHERE entry < {self._mark} ORDER BY entry DESC LIMIT {most}"  # noqa: S608
        return [record for _, record in self._ask(sql, [end])]

    def path(self, kind: Kind, merchant: str, key: str, since: int, until: int) -> list[dict[str, Any]]:
        """As `_core.TouchStore.path`."""
        return [_core.decode_touch(record) for record in self._newest(kind, merchant, key, since, until, MAX_PATH)]

    def seen(
        self, merchant: str, click: str, visitor: str, cust: str, did: str, since: int, at: int, most: int
    ) -> dict[str, Any]:
        """As `_core.TouchStore.seen`."""
        found = (self.click(click) if click else None) or {}
        click_at = found.get("at", 0) if found else at  # a field that is 0 is left out of a record
        begins = click_at // DAY_MS * DAY_MS
        day = begins, min(begins + DAY_MS - 1, at)
        seen = dict.fromkeys(COUNTS, 0) | {"prefix": found.get("prefix", ""), "referrer": found.get("referrer", "")}
        if address := found.get("address"):
            keys = _core.touch_range("address", merchant, address, *day)
            seen["address_clicks"] = self._count(_name(begins // DAY_MS), keys, most)
        if fingerprint := found.get("fingerprint"):
            hits = self._newest("fingerprint", merchant, fingerprint, *day, MAX_LOOKED_AT)
            seen["fingerprint_visitors"] = _core.tally_touches(hits, at, click_at, "")[2]
        if visitor := visitor or found.get("visitor", ""):
            hits = self._newest("visitor", merchant, visitor, since, at, MAX_LOOKED_AT)
            seen["clicks_before"], seen["devices"], _, seen["agents"] = _core.tally_touches(hits, at, click_at, did)
        if cust:
            hits = self._newest("cust", merchant, cust, since, at, MAX_LOOKED_AT)
            clicks_before, devices, *_ = _core.tally_touches(hits, at, click_at, did)
            seen["clicks_before"] = max(seen["clicks_before"], clicks_before)
            seen["devices"] = max(seen["devices"], devices)
        return seen

    def _newest(self, kind: Kind, merchant: str, key: str, since: int, until: int, most: int) -> list[bytes]:
        """The records of a merchant's newest touches in [since, until], in their order."""
        keys = _core.touch_range(kind, merchant, key, since, until)
        days = [day for day in self._days if since // DAY_MS <= day <= until // DAY_MS]
        if keys is None or not days:
            return []
        found = self._range([_name(day) for day in days], keys, most, NEWEST_FIRST, self._of_entry)
        return [record for _, record in sorted(found)]

    def _count(self, table: str, keys: tuple[bytes, bytes] | None, most: int) -> int:
        """How many entries a day's table has in a range, counted up to `most`."""
        if keys is None:
            return 0
        mark = self._mark
        some = f"SELECT entry FROM {table} WHERE entry BETWEEN {mark} AND {mark} LIMIT {most}"  # noqa: S608
        assert self._connection is not None
        rows = self._connection.exec_driver_sql(f"SELECT count(*) FROM ({some}) AS counted", tuple(keys))  # noqa: S608
        return int(rows.scalar_one())

    def bindings(self, kind: Literal["visitor", "cust"], merchant: str, key: str, until: int) -> list[dict[str, Any]]:
        """As `_core.TouchStore.bindings`."""
        if kind not in ("visitor", "cust"):
            raise ValueError(f"{kind!r} is bound to nobody")
        keys = _core.touch_range(kind, merchant, key, 0, until)
        assert self._connection is not None
        if keys is None or not inspect(self._connection).has_table(BINDINGS):
            return []
        half = MAX_BINDINGS // 2
        oldest = self._range([BINDINGS], keys, half, OLDEST_FIRST)
        newest = self._range([BINDINGS], keys, half, NEWEST_FIRST) if len(oldest) == half else []
        return [_core.decode_touch(record) for _, record in sorted({*oldest, *newest})]

    def _range(
        self,
        tables: Sequence[str],
        keys: tuple[bytes, bytes],
        limit: int,
        order: str,
        record: Callable[[str], str] = lambda table: f"{table}_.record",
    ) -> list[Row]:
        """The first entries, in this order, of several tables taken together; each with its own record, or with what
        `record` says in SQL."""
        mark = self._mark
        some = f"WHERE entry BETWEEN {mark} AND {mark} ORDER BY entry {order} LIMIT {limit}"
        each = [
            f"SELECT {table}_.entry, {record(table)} FROM (SELECT entry, record FROM {table} {some}) AS {table}_"  # noqa: S608
            for table in tables
        ]
        sql = f"{' UNION ALL '.join(each)} ORDER BY 1 {order} LIMIT {limit}"
        return self._ask(sql, [*keys] * len(tables))

    def _of_entry(self, table: str) -> str:
        """The record that an entry of a day leads to."""
        assert self._connection is not None
        key = _RECORD_KEYS[self._connection.dialect.name].format(entry=f"{table}_.entry")
        return f"(SELECT record FROM {table} AS touch WHERE touch.entry = {key})"  # noqa: S608

    def _records(self, keys: Iterable[tuple[int, Sequence[bytes]]]) -> list[Row]:
        """The records of these keys in each day."""
        selects: list[str] = []
        asked: list[bytes] = []
        found: list[Row] = []
        for day, some in keys:
            for start in range(0, len(some), RECORDS_PER_SELECT):
                part = some[start : start + RECORDS_PER_SELECT]
                marks = ", ".join([self._mark] * len(part))
                selects.append(f"SELECT entry, record FROM {_name(day)} WHERE entry IN ({marks})")  # noqa: S608
                asked += part
                if len(asked) >= RECORDS_PER_SELECT:
                    found += self._ask(" UNION ALL ".join(selects), asked)
                    selects, asked = [], []
        return found + self._ask(" UNION ALL ".join(selects), asked) if selects else found

    def _ask(self, sql: str, values: Sequence[bytes]) -> list[Row]:
        assert self._connection is not None
        return [(bytes(key), bytes(record)) for key, record in self._connection.exec_driver_sql(sql, tuple(values))]

    @property
    def _mark(self) -> str:
        """How the driver marks a parameter."""
        assert self._connection is not None
        return {"sqlite": "?", "postgresql": "%b"}.get(self._connection.dialect.name, "%s")


def _copied(connection: Connection, name: str, rows: Sequence[Row]) -> bool:
    """Whether COPY took them: it does not where one is there already, and is thrice as fast where none is."""
    from tuike.stores import postgresql

    return postgresql.copy(connection, name, rows)


def _names(rows: Rows) -> list[str]:
    days, bindings = rows
    return [*(_name(day) for day, _ in days), *([BINDINGS] if bindings else [])]


def _name(day: int) -> str:
    return f"{PREFIX}{EPOCH + timedelta(day):%Y%m%d}"


def _table(name: str) -> Table:
    key = Column("entry", LargeBinary(KEY_BYTES), primary_key=True)
    record = Column("record", LargeBinary, nullable=False)
    # rows only come, until the table is dropped: a vacuum of them, again and again, would bring nothing
    options = {"autovacuum_vacuum_insert_threshold": -1}
    return Table(name, MetaData(), key, record, sqlite_with_rowid=False, postgresql_with=options)


def _make(engine: Engine, table: Table) -> None:
    """Two that make one table at once are both content."""
    try:
        with engine.begin() as connection:
            table.create(connection, checkfirst=True)
    except DBAPIError:
        with engine.connect() as connection:
            if not inspect(connection).has_table(table.name):
                raise


def _days_of(connection: Connection) -> list[int]:
    names = inspect(connection).get_table_names()
    dates = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    return sorted((datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC) - EPOCH).days for date in dates)
