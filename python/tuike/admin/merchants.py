"""/v1/merchants. A postback key is shown once, in the answer that made the merchant or replaced the key."""

from sqlalchemy import Connection, select

from tuike import _core, views
from tuike.admin import answers, auth, inputs, pages, queries
from tuike.admin.problems import not_found
from tuike.admin.routes import Answer, Body, Call, Route, writes
from tuike.admin.secret import fresh_secret, show
from tuike.stores.schema import merchants

SEAL_PURPOSE = "merchant"
NONCE_BYTES = 12
HOUR_MS = 3_600_000


async def create(call: Call) -> Answer:
    body: inputs.MerchantBody = call.body
    return await _with_secret(call, "merchant.create", inputs.data(body))


async def replace_secret(call: Call) -> Answer:
    body: inputs.SecretBody = call.body
    overlap = body.overlap_hours * HOUR_MS
    return await _with_secret(call, "merchant.secret", {"id": call.path("id"), "overlap": overlap})


async def replace_token(call: Call) -> Answer:
    body: inputs.SecretBody = call.body
    token = fresh_secret(call, "postback")
    # what stands in the books is its digest: it has 256 random bits
    digest = auth.token_hash(token)
    data = {"id": call.path("id"), "hash": digest, "overlap": body.overlap_hours * HOUR_MS}
    return show(await call.write("registry", "merchant.token", data), token=token)


async def _with_secret(call: Call, op: str, data: Body) -> Answer:
    """A write that gives the merchant a fresh key, which its answer shows."""
    secret = fresh_secret(call, "merchant")
    nonce = call.service.random(NONCE_BYTES)
    sealed = _core.seal(call.service.secret, SEAL_PURPOSE, secret.encode(), nonce)
    return show(await call.write("registry", op, data | {"secret": sealed}), secret=secret)


update = writes("registry", "merchant.update", "id")


async def get(call: Call) -> Body:
    auth.check_subject(call.actor.merchant_only(), call.path("id"), "merchant")
    return await call.read(_get, call.path("id"))


async def page(call: Call) -> Body:
    query: queries.Page = call.query
    return await call.read_copy(_page, query, call.actor.merchant_only())


def _get(connection: Connection, id: str) -> Body:
    row = connection.execute(select(merchants).where(merchants.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"merchant {id}")
    return views.merchant(row)


def _page(connection: Connection, query: queries.Page, only: str) -> Body:
    statement = select(merchants)
    if only:
        statement = statement.where(merchants.c.id == only)
    return pages.page(connection, statement, merchants.c.id, views.merchant, cursor=query.cursor, limit=query.limit)


READ = auth.READERS | auth.MERCHANT

ROUTES = (
    Route(
        "POST",
        "/v1/merchants",
        create,
        "Create a merchant; the answer shows its postback key, this once",
        auth.ADMIN,
        body=inputs.MerchantBody,
        answer=answers.NewMerchant,
        status=201,
    ),
    Route("GET", "/v1/merchants", page, "Merchants by id", READ, query=queries.Page, answer=answers.Merchants),
    Route("GET", "/v1/merchants/{id}", get, "A merchant", READ, answer=answers.Merchant),
    Route(
        "PATCH",
        "/v1/merchants/{id}",
        update,
        "Change a merchant",
        auth.ADMIN,
        body=inputs.MerchantPatch,
        answer=answers.Merchant,
    ),
    Route(
        "POST",
        "/v1/merchants/{id}/secret",
        replace_secret,
        "Replace a merchant's postback key; the answer shows the new one, this once",
        auth.ADMIN,
        body=inputs.SecretBody,
        answer=answers.NewMerchant,
        status=201,
    ),
    Route(
        "POST",
        "/v1/merchants/{id}/token",
        replace_token,
        "Replace the token of a merchant's postbacks in its dialect; the answer shows the new one, this once",
        auth.ADMIN,
        body=inputs.SecretBody,
        answer=answers.MerchantToken,
        status=201,
    ),
)
