"""/v1/products, each shown with the commission rule in force."""

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, or_, select

from tuike import views
from tuike.admin import answers, auth, inputs, pages, queries
from tuike.admin.auth import Actor
from tuike.admin.problems import not_found
from tuike.admin.routes import Answer, Body, Call, Route
from tuike.stores.schema import products, rules


async def create(call: Call) -> Answer:
    return await call.write("registry", "product.create", _under_ceiling(call, inputs.data(call.body)))


async def update(call: Call) -> Answer:
    data = inputs.data(call.body) | {"id": call.path("id")}
    return await call.write("registry", "product.update", _under_ceiling(call, data))


def _under_ceiling(call: Call, data: Body) -> Body:
    """A rule is journalled with the ceiling it is written under, which its version keeps."""
    return data | {"ceiling": call.service.ceiling} if "commission" in data else data


async def get(call: Call) -> Body:
    return await call.read(_get, call.path("id"), call.actor, call.service.clock())


async def page(call: Call) -> Body:
    query: queries.Products = call.query
    merchant = auth.narrow(call.actor.merchant_only(), query.merchant, "merchant")
    return await call.read_copy(_page, query, merchant, call.actor, call.service.clock())


def _select(now: int) -> Select[Any]:
    """Products with the newest version of their rule that has begun; the first is in force from the beginning."""
    later = rules.alias()
    newest = (
        select(func.max(later.c.version))
        .where(later.c.product == products.c.id, or_(later.c.effective_from <= now, later.c.version == 1))
        .scalar_subquery()
    )
    joined = products.join(rules, (rules.c.product == products.c.id) & (rules.c.version == newest))
    return select(products, rules.c.version, rules.c.rule).select_from(joined)


def _view(row: RowMapping, actor: Actor) -> Body:
    body = views.product(row, row["version"], row["rule"])
    if actor.role == "promoter":
        # whoever knows the thresholds stays just below them
        del body["fraud"]
        body["commission"] = views.commission_for(actor.promoter_only(), body["commission"])
    return body


def _get(connection: Connection, id: str, actor: Actor, now: int) -> Body:
    row = connection.execute(_select(now).where(products.c.id == id)).mappings().one_or_none()
    if row is None:
        raise not_found(f"product {id}")
    auth.check_subject(actor.merchant_only(), row["merchant"], "product of merchant")
    return _view(row, actor)


def _page(connection: Connection, query: queries.Products, merchant: str, actor: Actor, now: int) -> Body:
    statement = _select(now)
    if merchant:
        statement = statement.where(products.c.merchant == merchant)
    return pages.page(
        connection,
        statement,
        products.c.id,
        lambda row: _view(row, actor),
        cursor=query.cursor,
        limit=query.limit,
    )


READ = auth.READERS | auth.SCOPED

ROUTES = (
    Route(
        "POST",
        "/v1/products",
        create,
        "Create a product with its commission rule",
        auth.ADMIN,
        body=inputs.ProductBody,
        answer=answers.Product,
        status=201,
    ),
    Route("GET", "/v1/products", page, "Products by id", READ, query=queries.Products, answer=answers.Products),
    Route("GET", "/v1/products/{id}", get, "A product", READ, answer=answers.Product),
    Route(
        "PATCH",
        "/v1/products/{id}",
        update,
        "Change a product; a new `commission` begins a new version of its rule",
        auth.ADMIN,
        body=inputs.ProductPatch,
        answer=answers.Product,
    ),
)
