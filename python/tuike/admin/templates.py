"""Posters and texts for promoters: of a product, of a merchant, of the whole instance.

What a product has not is its merchant's, and what that has not is the instance's: poster and texts each by itself."""

from typing import Annotated, Any

from msgspec import Meta, field
from sqlalchemy import Connection, Table, select

from tuike import views
from tuike.admin import auth, inputs, merchants, posters, products
from tuike.admin.answers import Answer as Shape
from tuike.admin.auth import Actor
from tuike.admin.inputs import Input
from tuike.admin.problems import not_found
from tuike.admin.routes import Answer, Body, Call, Handler, Route
from tuike.stores import schema
from tuike.stores.schema import INSTANCE, templates

Poster = Annotated[
    str,
    Meta(
        max_length=posters.MAX_POSTER, description="SVG with the places {{qr}} {{title}} {{line}} {{url}} {{promoter}}"
    ),
]
Text = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=posters.MAX_TEXT,
        description="a line with the places {{product}} {{category}} {{url}} {{coupon}} {{promoter}}",
    ),
]
Texts = Annotated[list[Text], Meta(max_length=posters.MAX_TEXTS)]


class TemplateBody(Input):
    """In place of all that stood: what is not given is none."""

    poster: Poster | None = None
    texts: Texts = field(default_factory=list)


class Template(Shape):
    """`owner` is `product:ID`, `merchant:ID` or `instance`."""

    owner: str
    poster: str | None
    texts: list[str]


class TemplateInForce(Template):
    """What promoters of the product see, and whose it is; null: the page's own."""

    poster_of: str | None
    texts_of: str | None


def check(body: Body) -> None:
    """Problem `bad_poster` or `bad_text`; `body` has the members of a TemplateBody."""
    if body["poster"] is not None:
        posters.check_poster(body["poster"])
    posters.check_texts(body["texts"])


def _owner(kind: str, call: Call) -> str:
    return f"{kind}:{call.path('id')}" if kind != INSTANCE else INSTANCE


def _set(kind: str) -> Handler:
    async def write(call: Call) -> Answer:
        data = inputs.data(call.body)
        check(data)
        return await call.write("registry", "template.set", {"owner": _owner(kind, call)} | data)

    return write


async def of_instance(call: Call) -> Body:
    return (await call.read(_of, [INSTANCE])).get(INSTANCE, _nothing(INSTANCE))


async def of_merchant(call: Call) -> Body:
    auth.check_subject(call.actor.merchant_only(), call.path("id"), "merchant")
    return await call.read(_of_merchant, call.path("id"))


async def of_product(call: Call) -> Body:
    return await call.read(_in_force, call.path("id"), call.actor)


def _nothing(owner: str) -> Body:
    return {"owner": owner, "poster": None, "texts": []}


def _of(connection: Connection, owners: list[str]) -> dict[str, Body]:
    rows = connection.execute(select(templates).where(templates.c.owner.in_(owners))).mappings()
    return {row["owner"]: views.template(row) for row in rows}


def _of_merchant(connection: Connection, id: str) -> Body:
    _existing(connection, schema.merchants, id, "merchant")
    owner = f"merchant:{id}"
    return _of(connection, [owner]).get(owner, _nothing(owner))


def _in_force(connection: Connection, id: str, actor: Actor) -> Body:
    merchant = _existing(connection, schema.products, id, "product").merchant
    auth.check_subject(actor.merchant_only(), merchant, "product of merchant")
    owners = [f"product:{id}", f"merchant:{merchant}", INSTANCE]
    found = _of(connection, owners)
    standing = [found[owner] for owner in owners if owner in found]
    poster = next((one for one in standing if one["poster"] is not None), None)
    texts = next((one for one in standing if one["texts"]), None)
    return {
        "owner": owners[0],
        "poster": poster and poster["poster"],
        "poster_of": poster and poster["owner"],
        "texts": texts["texts"] if texts else [],
        "texts_of": texts and texts["owner"],
    }


def _existing(connection: Connection, table: Table, id: str, what: str) -> Any:
    row = connection.execute(select(table).where(table.c.id == id)).one_or_none()
    if row is None:
        raise not_found(f"{what} {id}")
    return row


WHERE = {"product": "/v1/products/{id}/template", "merchant": "/v1/merchants/{id}/template", INSTANCE: "/v1/template"}
ROUTES = (
    Route(
        "GET",
        WHERE["product"],
        of_product,
        "The poster and texts in force for a product, and whose each is",
        products.READ,
        answer=TemplateInForce,
    ),
    Route("GET", WHERE["merchant"], of_merchant, "A merchant's own poster and texts", merchants.READ, answer=Template),
    Route("GET", WHERE[INSTANCE], of_instance, "The poster and texts of every product", auth.READERS, answer=Template),
    *(
        Route(
            "PUT",
            path,
            _set(kind),
            f"Replace the poster and texts of {what}; neither of them removes it",
            auth.ADMIN,
            body=TemplateBody,
            answer=Template,
        )
        for (kind, path), what in zip(WHERE.items(), ("a product", "a merchant", "every product"), strict=True)
    ),
)
