"""/v1/links. `url` of an answer is the link to share, `target` is where it leads."""

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from tuike import views
from tuike.admin import answers, auth, inputs, pages, queries
from tuike.admin.problems import not_found
from tuike.admin.routes import Answer, Body, Call, Route
from tuike.stores.schema import links, products


async def create(call: Call) -> Answer:
    body: inputs.LinkBody = call.body
    auth.check_subject(call.actor.promoter_only(), body.promoter, "promoter")
    return _shared_answer(call, await call.write("registry", "link.create", inputs.data(body)))


async def update(call: Call) -> Answer:
    await call.read(_get, call.path("code"), call.actor.promoter_only())
    data = inputs.data(call.body) | {"code": call.path("code")}
    return _shared_answer(call, await call.write("registry", "link.update", data))


async def get(call: Call) -> Body:
    return _shared(await call.read(_get, call.path("code"), call.actor.promoter_only()), call.service.public_url)


async def page(call: Call) -> Body:
    query: queries.Links = call.query
    promoter = auth.narrow(call.actor.promoter_only(), query.promoter, "promoter")
    return await call.read_copy(_page, query, promoter, call.service.public_url)


def _shared(view: Body, public_url: str) -> Body:
    return view | {"url": f"{public_url}/c/{view['code']}", "target": view["url"]}


def _shared_answer(call: Call, answer: Answer) -> Answer:
    """Of a write: its outcome is a link, unless the books were late."""
    if answer.status == 202:
        return answer
    return Answer(answer.status, _shared(answer.body, call.service.public_url))


def _select() -> Select[Any]:
    return select(links, products.c.url.label("product_url")).join_from(
        links, products, products.c.id == links.c.product
    )


def _view(row: RowMapping) -> Body:
    return views.link(row, row["product_url"])


def _get(connection: Connection, code: str, only: str) -> Body:
    row = connection.execute(_select().where(links.c.code == code)).mappings().one_or_none()
    if row is None:
        raise not_found(f"link {code}")
    auth.check_subject(only, row["promoter"], "link of promoter")
    return _view(row)


def _page(connection: Connection, query: queries.Links, promoter: str, public_url: str) -> Body:
    statement = _select()
    if promoter:
        statement = statement.where(links.c.promoter == promoter)
    if query.product:
        statement = statement.where(links.c.product == query.product)
    return pages.page(
        connection,
        statement,
        links.c.code,
        lambda row: _shared(_view(row), public_url),
        cursor=query.cursor,
        limit=query.limit,
    )


READ = auth.READERS | auth.PROMOTER
WRITE = auth.ADMIN | auth.PROMOTER

ROUTES = (
    Route(
        "POST",
        "/v1/links",
        create,
        "Create a link; without `code` it gets one",
        WRITE,
        body=inputs.LinkBody,
        answer=answers.Link,
        status=201,
    ),
    Route("GET", "/v1/links", page, "Links by code", READ, query=queries.Links, answer=answers.Links),
    Route("GET", "/v1/links/{code}", get, "A link", READ, answer=answers.Link),
    Route("PATCH", "/v1/links/{code}", update, "Change a link", WRITE, body=inputs.LinkPatch, answer=answers.Link),
)
