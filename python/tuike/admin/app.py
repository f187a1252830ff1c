"""Composes the admin API: one data directory, one port."""

import asyncio
import errno
import logging
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import uvloop
from aiohttp import ClientSession, ClientTimeout, UnixConnector, web
from sqlalchemy import Engine

from tuike import _core, config, control, logs
from tuike.admin import (
    applications,
    audit,
    auth,
    clicks,
    contests,
    conversions,
    dashboard,
    exports,
    fraud,
    inputs,
    ledger,
    links,
    live,
    merchants,
    observe,
    openapi,
    payouts,
    people,
    postbacks,
    preview,
    problems,
    products,
    promoters,
    queries,
    report_exports,
    reporting,
    retention,
    risk,
    session,
    settlements,
    statements,
    templates,
    tiers,
    tokens,
    traces,
    treasury,
    webhooks,
    why,
    withholding,
)
from tuike.admin.auth import Actor
from tuike.admin.problems import Problem
from tuike.admin.routes import Answer, Call, Route, Service
from tuike.admin.writes import Writes
from tuike.clock import Clock, follow, wall
from tuike.config import WEBHOOK_ALLOW_PRIVATE
from tuike.data import Data, write_private
from tuike.journal_http import JournalRoutes
from tuike.observing import EDGE_PREFIX
from tuike.sending.place import ManyMachines, OneMachine
from tuike.sending.sender import Sender
from tuike.statements import Signer
from tuike.stores import engine, leases, members

PRODUCER = "admin"
TOKEN_VARIABLE = "TUIKE_ADMIN_TOKEN"  # noqa: S105 (a name, no token)
FIRST_TOKEN_BYTES = 32
MAX_BODY = 256 * 1024
READERS = engine.READERS
PROCESSOR_SECONDS = 2.0
SHUTDOWN_SECONDS = 10.0  # for calls that wait for the books
USAGE = 2
REQUEST_ID = "X-Request-Id"
SOUND_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

SERVICE = web.AppKey("service", Service)
# what an empty body says
NO_MEMBERS = b"{}"
ANYONE = Actor("anyone", "none")

RESOURCES: tuple[Route, ...] = (
    *merchants.ROUTES,
    *products.ROUTES,
    *templates.ROUTES,
    *promoters.ROUTES,
    *tiers.ROUTES,
    *applications.ROUTES,
    *links.ROUTES,
    *conversions.ROUTES,
    *why.ROUTES,
    *fraud.ROUTES,
    *risk.ROUTES,
    *traces.ROUTES,
    *clicks.ROUTES,
    *postbacks.ROUTES,
    *reporting.ROUTES,
    *withholding.ROUTES,
    *settlements.ROUTES,
    *payouts.ROUTES,
    *preview.ROUTES,
    *ledger.ROUTES,
    *statements.ROUTES,
    *treasury.ROUTES,
    *contests.ROUTES,
    *tokens.ROUTES,
    *people.ROUTES,
    *report_exports.ROUTES,
    *retention.ROUTES,
    *audit.ROUTES,
    *exports.ROUTES,
    *webhooks.ROUTES,
)
# what a browser asks for, beside
PAGE: tuple[Route, ...] = (*session.ROUTES, *applications.OPEN, *live.ROUTES)
ROUTES: tuple[Route, ...] = (
    *observe.ROUTES,
    *dashboard.ROUTES,
    *PAGE,
    *RESOURCES,
    *openapi.routes_of((*PAGE, *RESOURCES)),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """`public_url` is where browsers reach the edge: links begin with it. `first_token` is the built-in admin's."""

    data: Data
    first_token: str
    public_url: str
    max_levels: int = 3
    member: bool = False
    """Of an instance on several machines: edges are asked for in the books, and time is the books'."""
    webhook_allow_private: bool = False
    """Webhooks may be sent to addresses that are not the internet's, and without TLS."""
    ceiling: int = _core.Rule.MAX_CEILING
    """Of rules that are written now: the rate (1e-6) of its amount that an order pays at most. A rule's version keeps
    the one it was written under, so that what was booked by it can be reckoned again. It is half at most."""
    clock: Callable[[], int] = wall
    random: Callable[[int], bytes] = secrets.token_bytes


def first_token(data: Data, environment: Mapping[str, str] = os.environ) -> str:
    """The built-in admin's token: TUIKE_ADMIN_TOKEN, else DATA/admin.token, which the first start writes."""
    given = environment.get(TOKEN_VARIABLE, "").strip()
    if given:
        return given
    if not data.admin_token.exists():
        write_private(data.admin_token, auth.PREFIX + secrets.token_hex(FIRST_TOKEN_BYTES) + "\n")
        print(f"wrote the admin token to {data.admin_token}", file=sys.stderr)
    return data.admin_token.read_text().strip()


def make_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=[_name, _refuse], client_max_size=MAX_BODY)
    app.on_response_prepare.append(_say_name)

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        service = _service(settings)
        service.writes.start()
        service.sender.start(service.read)
        app[SERVICE] = service
        app[live.LIVE] = live.Live(service)
        following = asyncio.create_task(follow(settings.clock)) if isinstance(settings.clock, Clock) else None
        yield
        if following is not None:
            following.cancel()
        await service.sender.close()
        await service.writes.close()
        await service.processor.close()
        service.readers.shutdown()
        service.engine.dispose()
        service.replica.dispose()

    app.cleanup_ctx.append(lifetime)
    app.on_shutdown.append(live.close)
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, _endpoint(route))
        else:
            app.router.add_route(route.method, route.path, _endpoint(route))
    for path, allowed in _fixed_paths().items():
        app.router.add_route("*", path, _takes_only(allowed))
    if settings.member:
        app.router.add_routes(JournalRoutes(settings.data, settings.clock, _nothing_there).routes())
    return app


def _fixed_paths() -> dict[str, list[str]]:
    """Methods of the paths without a name in them: what is sent there is for no path that has one in that place."""
    paths: dict[str, list[str]] = {}
    for route in ROUTES:
        if "{" not in route.path:
            paths.setdefault(route.path, []).extend(["GET", "HEAD"] if route.method == "GET" else [route.method])
    return paths


def _takes_only(allowed: list[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    return refuse


async def _nothing_there(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


def _live_edges(settings: Settings, books: Engine) -> Callable[[], int | None]:
    """Finds out which registry version all live edges work with."""
    journal = str(settings.data.journal)

    def by_marks() -> int | None:
        marks = _core.live_marks(journal)
        return min((version for name, version in marks.items() if name.startswith(EDGE_PREFIX)), default=None)

    def by_books() -> int | None:
        with books.connect() as connection:
            return members.reached(connection)

    return by_books if settings.member else by_marks


def _service(settings: Settings) -> Service:
    data = settings.data
    reader = engine.open_reader(data.database)
    incarnation = int.from_bytes(settings.random(8))
    writer = _core.Writer(str(data.journal), PRODUCER, incarnation)
    return Service(
        engine=reader,
        replica=reader if data.replica is None else engine.open_reader(data.replica),
        readers=ThreadPoolExecutor(READERS, thread_name_prefix="reader"),
        writes=Writes(writer, reader, _live_edges(settings, reader), clock=settings.clock, random=settings.random),
        processor=ClientSession(
            "http://processor",
            connector=UnixConnector(str(data.processor_socket)),
            timeout=ClientTimeout(total=PROCESSOR_SECONDS),
        ),
        metrics=data.metrics,
        journal=data.journal,
        member=settings.member,
        books_away=data.books_away,
        secret=data.secret,
        signer=Signer(data.secret, data.statement_key()),
        sender=Sender(
            lambda: ManyMachines(data, leases.new_holder()) if settings.member else OneMachine(data),
            data.secret,
            allow_private=settings.webhook_allow_private,
            clock=settings.clock,
            random=settings.random,
        ),
        first_token_hash=auth.token_hash(settings.first_token),
        public_url=settings.public_url.rstrip("/"),
        max_levels=settings.max_levels,
        ceiling=settings.ceiling,
        clock=settings.clock,
        random=settings.random,
    )


def _endpoint(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        service = request.app[SERVICE]
        actor = ANYONE
        if route.roles:
            actor = await session.authenticate(service, request)
            auth.check_role(actor, route.roles)
        raw = await request.read()
        body = None if route.body is None else inputs.read(raw or NO_MEMBERS, route.body)
        query = None if route.query is None else queries.read(request.query, route.query)
        answer = await route.handler(Call(service, actor, request, raw, body, query))
        if isinstance(answer, web.StreamResponse):
            return answer
        return answer.response() if isinstance(answer, Answer) else Answer(200, answer).response()

    return endpoint


@web.middleware
async def _name(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A request has the id that its sender gave it, or one of ours: it stands in the log and in the answer."""
    given = request.headers.get(REQUEST_ID, "")
    logs.request_id.set(given if SOUND_ID.fullmatch(given) else secrets.token_hex(8))
    return await handler(request)


async def _say_name(request: web.Request, response: web.StreamResponse) -> None:
    if name := logs.request_id.get():
        response.headers[REQUEST_ID] = name


@web.middleware
async def _refuse(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Whatever goes wrong leaves as a problem document; only what is our fault is logged in full."""
    try:
        return await handler(request)
    except Problem as problem:
        return problems.response(problem)
    except web.HTTPMethodNotAllowed as refusal:
        allowed = ", ".join(sorted(refusal.allowed_methods))
        answer = problems.response(Problem("method_not_allowed", f"this path takes {allowed}"))
        answer.headers["Allow"] = allowed
        return answer
    except web.HTTPRequestEntityTooLarge:
        return problems.response(Problem("body_too_large", f"a body has at most {MAX_BODY} bytes"))
    except web.HTTPNotFound:
        return problems.response(problems.not_found(f"path {request.path}"))
    except Exception:
        # the route, not the path: that may name a visitor
        resource = request.match_info.route.resource
        log.exception("%s %s", request.method, resource.canonical if resource is not None else "")
        return problems.response(Problem("internal", "the server's log has the details"))


def run_admin(
    data: Data, host: str, port: int, public_url: str, max_levels: int, ceiling: int, *, member: bool = False
) -> None:
    """Serves until it is told to stop; `member`: of an instance on several machines."""
    allow_private = config.is_set(WEBHOOK_ALLOW_PRIVATE)
    settings = Settings(data, first_token(data), public_url, max_levels, member, allow_private, ceiling)
    if member:
        settings = replace(settings, clock=Clock(data.clock))
    logs.configure()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_serve(settings, host, port)))


async def _serve(settings: Settings, host: str, port: int) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    control.when_told(loop, stop.set)
    app = make_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        mend = "--admin-port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        print(f"tuike: {host}:{port}: {error.strerror}; choose another {mend}", file=sys.stderr)
        await runner.cleanup()
        return USAGE
    control.say_ready()
    await stop.wait()
    app[SERVICE].draining = True
    await runner.cleanup()
    return 0
