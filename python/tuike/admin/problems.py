"""Refusals as problem documents (RFC 9457), each with a stable code."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

CONTENT_TYPE = "application/problem+json"

# The bookkeeper's own codes (tuike.books) come with their status in the outcome.
STATUS: Mapping[str, int] = {
    "bad_json": 400,
    "bad_body": 400,
    "bad_parameter": 400,
    "bad_amount": 400,
    "bad_cursor": 400,
    "bad_idempotency_key": 400,
    "bad_range": 400,
    "currency_needed": 400,
    "too_many_groups": 400,
    "too_many_rows": 400,
    "unauthorized": 401,
    "token_expired": 401,
    "token_revoked": 401,
    "forbidden": 403,
    "cross_site": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "bad_person": 422,
    "bad_poster": 422,
    "bad_text": 422,
    "empty_period": 422,
    "url_not_allowed": 422,
    "internal": 500,
    "not_ready": 503,
    "too_many_listeners": 503,
    "not_recorded": 503,
    "books_unavailable": 503,
    "processor_unavailable": 503,
}

TITLES: Mapping[int, str] = {
    400: "The request is malformed",
    401: "A valid token is needed",
    403: "This token's role may not do this",
    404: "There is nothing here for this token",
    405: "This path has no such method",
    409: "It conflicts with what is there",
    413: "The body is too large",
    422: "It cannot be done as asked",
    500: "A fault of the server",
    503: "It cannot be done now",
}


class Problem(Exception):
    """Ends a call with a refusal. `status` is given only for codes that the books decided on."""

    def __init__(self, code: str, detail: str, *, status: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = STATUS[code] if status is None else status


def not_found(what: str) -> Problem:
    return Problem("not_found", f"no {what}, or none that this token may see")


def document(problem: Problem) -> dict[str, Any]:
    return {
        "type": f"/v1/docs#{problem.code}",
        "title": TITLES.get(problem.status, "Refused"),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }


def response(problem: Problem) -> web.Response:
    headers = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status == 503:
        headers["Retry-After"] = "1"
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(document(problem)),
        content_type=CONTENT_TYPE,
        headers=headers,
    )
