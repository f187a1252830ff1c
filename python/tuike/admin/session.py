"""/v1/session: a browser signs in with a token and carries a cookie from then on.

The cookie says which token it stands for and until when, under a MAC that covers the token's digest too: nothing is
stored, and revoking the token, or giving the built-in admin another one, ends its sessions. Signing out clears the
browser's copy. What comes with a cookie comes from any page that the browser shows, so a write must say that it is ours
(`Sec-Fetch-Site`, else `Origin`); one with a bearer token need not.
"""

import hashlib
import hmac
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from tuike import views
from tuike.admin import auth
from tuike.admin.answers import Answer as Shape
from tuike.admin.auth import FIRST, Actor, Known
from tuike.admin.inputs import Input
from tuike.admin.problems import Problem
from tuike.admin.routes import Body, Call, Route, Service

COOKIE = "tk_session"
SECONDS = 12 * 3_600
NONCE_BYTES = 16
MAC_BYTES = 32
MAX_TOKEN = 1_024
MAX_COOKIE = 512
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
NOBODY = {"role": "", "name": "", "expires": None}


class SessionBody(Input):
    token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN)]


class Session(Shape):
    """Who is signed in, and until when; `role` is empty where nobody is."""

    role: str
    name: str
    expires: str | None


async def sign_in(call: Call) -> web.Response:
    check_origin(call.request)
    body: SessionBody = call.body
    known = await find_token(call.service, body.token.strip())
    expires = call.service.clock() + SECONDS * 1000
    if known.expires is not None:
        expires = min(expires, known.expires)
    answer = _answer(_view(known, expires))
    answer.set_cookie(
        COOKIE,
        _sign(call.service, known, expires, call.service.random(NONCE_BYTES).hex()),
        max_age=max(1, (expires - call.service.clock()) // 1000),
        path="/",
        httponly=True,
        samesite="Strict",
        # behind a proxy that ends TLS only the browser knows
        secure=call.request.secure or call.request.headers.get("Origin", "").startswith("https://"),
    )
    return answer


async def sign_out(call: Call) -> web.Response:
    check_origin(call.request)
    answer = _answer(NOBODY)
    answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return answer


async def show(call: Call) -> web.Response:
    """A page asks before anyone has signed in: that is no refusal."""
    try:
        known, expires = await _of_cookie(call.service, call.request.cookies.get(COOKIE, ""))
    except Problem as problem:
        if problem.status != 401:
            raise
        return _answer(NOBODY)
    return _answer(_view(known, expires))


async def authenticate(service: Service, request: web.Request) -> Actor:
    """The actor of a bearer token, else of the cookie."""
    header = request.headers.get("Authorization", "")
    if header or COOKIE not in request.cookies:
        return (await find_token(service, auth.bearer(header))).actor
    known, _ = await _of_cookie(service, request.cookies[COOKIE])
    if request.method not in SAFE_METHODS:
        check_origin(request)
    return known.actor


def check_origin(request: web.Request) -> None:
    """A browser says which site a write comes from; Problem `cross_site` where it is another. What is no browser says
    nothing, and holds no cookie that a stranger could use."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site in ("same-origin", "none"):
            return
        raise Problem("cross_site", "a session's writes come from the dashboard's own pages")
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise Problem("cross_site", f"{origin} is another site than {request.host}")
    if origin is None and COOKIE in request.cookies:
        raise Problem("cross_site", "a session's writes carry `Origin`; without a browser use a bearer token")


async def find_token(service: Service, token: str) -> Known:
    if auth.is_first_token(token, service.first_token_hash):
        return Known(auth.FIRST_ACTOR, FIRST, service.first_token_hash, None)
    return await service.read(auth.find_by_hash, auth.token_hash(token), service.clock())


async def _of_cookie(service: Service, cookie: str) -> tuple[Known, int]:
    """Problem `unauthorized` for a cookie that is not ours, or whose time or token has ended."""
    if len(cookie) > MAX_COOKIE or not (cookie.isascii() and cookie.isprintable()):
        raise Problem("unauthorized", "sign in again")
    id, _, rest = cookie.partition(".")
    expires, _, nonce_and_mac = rest.partition(".")
    nonce = nonce_and_mac.partition(".")[0]
    if not expires.isdigit() or int(expires) <= service.clock():
        raise Problem("unauthorized", "sign in again")
    if id == FIRST:
        known = Known(auth.FIRST_ACTOR, FIRST, service.first_token_hash, None)
    else:
        known = await service.read(auth.find_by_id, id, service.clock())
    if not hmac.compare_digest(cookie.encode(), _sign(service, known, int(expires), nonce).encode()):
        raise Problem("unauthorized", "sign in again")
    return known, int(expires)


def _sign(service: Service, known: Known, expires: int, nonce: str) -> str:
    """ID.EXPIRES.NONCE.MAC"""
    said = f"{known.id}.{expires}.{nonce}"
    key = hashlib.blake2b(b"session", key=bytes.fromhex(service.secret), digest_size=MAC_BYTES).digest()
    mac = hashlib.blake2b(f"{said}.{known.hash}".encode(), key=key, digest_size=MAC_BYTES).hexdigest()
    return f"{said}.{mac}"


def _view(known: Known, expires: int) -> Body:
    actor = known.actor
    role = f"{actor.role}:{actor.subject}" if actor.subject else actor.role
    return {"role": role, "name": actor.name, "expires": views.instant(expires)}


def _answer(body: Body) -> web.Response:
    return web.json_response(body, headers={"Cache-Control": "no-store"})


ANYONE: frozenset[str] = frozenset()

ROUTES = (
    Route(
        "POST",
        "/v1/session",
        sign_in,
        "Sign a browser in with a token: the answer sets a cookie for 12 hours",
        ANYONE,
        body=SessionBody,
        answer=Session,
        journalled=False,
    ),
    Route("GET", "/v1/session", show, "Who is signed in by the cookie", ANYONE, answer=Session),
    Route(
        "DELETE",
        "/v1/session",
        sign_out,
        "Sign out: the cookie is cleared",
        ANYONE,
        answer=Session,
        journalled=False,
    ),
)
