"""Lists as CSV, for spreadsheets and banks."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from tuike.admin.problems import Problem

MEDIA = "text/csv"
MAX_ROWS = 200_000
# What a spreadsheet would take for a formula when a text begins with it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """With a header. Problem `too_many_rows` above `MAX_ROWS`."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise Problem("too_many_rows", f"a table has at most {MAX_ROWS} rows; narrow the filter")
        writer.writerow(row)
    return out.getvalue()


def free_text(value: str) -> str:
    """What people have typed, so that no spreadsheet runs it."""
    return f"'{value}" if value.startswith(FORMULA) else value


def headers(file: str) -> dict[str, str]:
    """Of an answer that is a file to keep."""
    return {"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "no-store"}


def response(name: str, table: str) -> web.Response:
    return web.Response(text=table, content_type=MEDIA, charset="utf-8", headers=headers(f"{name}.csv"))
