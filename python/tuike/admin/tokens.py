"""/v1/tokens. A token is shown once, in the answer that made it; what is stored is its digest."""

from sqlalchemy import Connection, select

from tuike import views
from tuike.admin import answers, auth, inputs, pages, queries
from tuike.admin.routes import Answer, Body, Call, Route, writes
from tuike.admin.secret import fresh_secret, show
from tuike.stores.schema import tokens

YEAR_MS = 365 * 86_400_000


async def create(call: Call) -> Answer:
    body: inputs.TokenBody = call.body
    role, _, subject = body.role.partition(":")
    now = call.service.clock()
    expires = now + YEAR_MS if body.expires is None else inputs.milliseconds(body.expires)
    token = auth.PREFIX + fresh_secret(call, "token")
    answer = await call.write(
        "registry",
        "token.create",
        {"hash": auth.token_hash(token), "role": role, "subject": subject, "expires": expires},
    )
    return show(answer, token=token)


revoke = writes("registry", "token.revoke", "id")


async def page(call: Call) -> Body:
    return await call.read_copy(_page, call.query)


def _page(connection: Connection, query: queries.Page) -> Body:
    return pages.page(connection, select(tokens), tokens.c.id, views.token, cursor=query.cursor, limit=query.limit)


ROUTES = (
    Route(
        "POST",
        "/v1/tokens",
        create,
        "Create a token; the answer shows it, this once",
        auth.ADMIN,
        body=inputs.TokenBody,
        answer=answers.NewToken,
        status=201,
    ),
    Route("GET", "/v1/tokens", page, "Tokens, the oldest first", auth.ADMIN, query=queries.Page, answer=answers.Tokens),
    Route("DELETE", "/v1/tokens/{id}", revoke, "Revoke a token", auth.ADMIN, answer=answers.Token),
)
