"""Applies registry writes: merchants, products and their rules, promoters and their tree, links, tokens.

Each op answers with a `Change`: what the API says, and what edges must hear. It writes its rows at once,
in the bookkeeper's transaction, and the registry in memory with them.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, insert, select, update

from tuike import _core, views
from tuike.books import defaults, entries, trackers
from tuike.books.records import Message, Outcome, Refusal, Request
from tuike.books.state import Merchant, Product, Promoter, Registry, RuleVersion
from tuike.stores import schema

Body = dict[str, Any]

LINK_CODE_LENGTH = 8
CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
SETTLED = ("timezone", "settlement", "refund_days", "release_when")
"""How a merchant settles."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a registry write came to. `target` is empty where nothing changed."""

    outcome: Outcome
    target: str = ""
    entries: list[Body] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Context:
    connection: Connection
    registry: Registry
    event: str
    number: int
    at: int
    message: Message


def apply(
    operations: Mapping[str, Callable[[Context, Body], Change]],
    connection: Connection,
    registry: Registry,
    message: Message,
    request: Request,
    number: int,
) -> Change:
    """Applies one registry write under the books' `number`."""
    context = Context(connection, registry, message.id, number, message.at, message)
    operation = operations.get(request.op)
    if operation is None:
        return Change(Outcome.refused("unknown_op", f"there is no registry operation {request.op!r}"))
    try:
        return operation(context, request.data)
    except Refusal as refusal:
        return Change(refusal.outcome)


# --- merchants -------------------------------------------------------------------------------------


def merchant_create(context: Context, data: Body) -> Change:
    body = fingerprint({name: value for name, value in data.items() if name != "secret"})
    standing = row_of(context, schema.merchants, data["id"])
    if standing is not None:
        return again(standing, body, views.merchant)
    whole = defaults.merchant(data)
    row = {name: whole[name] for name in ("id", "name", "currency", *SETTLED, "secret")}
    row |= {"status": "active", "created": context.at, "body": body, "old_secret": None, "old_secret_until": 0}
    row |= {"dialect": trackers.stored(data.get("dialect")), "tokens": None}
    context.connection.execute(insert(schema.merchants).values(row))
    context.registry.merchants[row["id"]] = Merchant.from_row(row)
    return created(f"merchant:{row['id']}", views.merchant(row), [entries.merchant(row)])


def merchant_update(context: Context, data: Body) -> Change:
    row = existing(context, schema.merchants, data["id"], "merchant")
    row |= _patch(data, defaults.MERCHANT, "name", *SETTLED, "status")
    if "dialect" in data:
        row["dialect"] = trackers.stored(data["dialect"])
    store(context, schema.merchants, row)
    context.registry.merchants[row["id"]] = Merchant.from_row(row)
    return changed(f"merchant:{row['id']}", views.merchant(row), [entries.merchant(row)])


def merchant_secret(context: Context, data: Body) -> Change:
    """Replaces the key of signed postbacks. The one before stays valid for `overlap` ms, and no other does."""
    row = existing(context, schema.merchants, data["id"], "merchant")
    old, until = (row["secret"], context.at + data["overlap"]) if data["overlap"] else (None, 0)
    row |= {"secret": data["secret"], "old_secret": old, "old_secret_until": until}
    store(context, schema.merchants, row)
    return created(f"merchant:{row['id']}", views.merchant(row), [entries.merchant(row)])


def merchant_token(context: Context, data: Body) -> Change:
    """Replaces the token of postbacks in the merchant's dialect, as its key is replaced."""
    row = existing(context, schema.merchants, data["id"], "merchant")
    newest = json.loads(row["tokens"] or "[]")[:1]
    before = [[digest, context.at + data["overlap"]] for digest, _ in newest if data["overlap"]]
    row["tokens"] = json.dumps([[data["hash"], None], *before])
    store(context, schema.merchants, row)
    return created(f"merchant:{row['id']}", views.merchant(row), [entries.merchant(row)])


# --- products --------------------------------------------------------------------------------------


def product_create(context: Context, data: Body) -> Change:
    body = fingerprint({name: value for name, value in data.items() if name != "ceiling"})
    standing = row_of(context, schema.products, data["id"])
    if standing is not None:
        return again(standing, body, lambda row: _product_view(context, row))
    whole = defaults.product(data)
    merchant = context.registry.merchants.get(whole["merchant"])
    if merchant is None:
        raise Refusal("unknown_merchant", f"there is no merchant {whole['merchant']!r}")
    version = _rule_version(merchant.currency, whole, 1, context.at)
    row = {
        name: whole[name]
        for name in ("id", "merchant", "name", "category", "url", "fallback_url", "cookie_days", "hold_days")
    }
    row |= {
        "pixel_conversions": whole["pixel_conversions"],
        "allowed_hosts": json.dumps(whole["allowed_hosts"]),
        "attribution": json.dumps(whole["attribution"]),
        "fraud": json.dumps(whole["fraud"]),
        "status": "active",
        "created": context.at,
        "body": body,
    }
    context.connection.execute(insert(schema.products).values(row))
    context.registry.note_product(Product.from_row(row, []))
    _add_rule(context, row["id"], version)
    return created(f"product:{row['id']}", _product_view(context, row), [entries.product(row)])


def product_update(context: Context, data: Body) -> Change:
    row = existing(context, schema.products, data["id"], "product")
    product = context.registry.products[row["id"]]
    if "commission" in data:
        currency = context.registry.merchants[row["merchant"]].currency
        begins = data.get("effective_from", context.at)
        if begins < context.at:
            raise Refusal("effective_in_past", "a rule begins now or later")
        if begins < product.rules[-1].effective_from:
            raise Refusal("effective_out_of_order", "a rule begins no earlier than the newest one that is planned")
        version = _rule_version(currency, data, product.rules[-1].version + 1, begins)
        _add_rule(context, row["id"], version)
    plain = ("name", "category", "url", "fallback_url", "cookie_days", "hold_days", "pixel_conversions", "status")
    row |= _patch(data, defaults.PRODUCT, *plain)
    for name in ("attribution", "fraud"):
        row[name] = json.dumps(json.loads(row[name]) | data.get(name, {}))
    if "allowed_hosts" in data:
        row["allowed_hosts"] = json.dumps(data["allowed_hosts"])
    store(context, schema.products, row)
    context.registry.note_product(Product.from_row(row, product.rules))
    return changed(f"product:{row['id']}", _product_view(context, row), [entries.product(row)])


def _rule_version(currency: str, data: Body, version: int, begins: int) -> RuleVersion:
    # what was journalled before there was a ceiling to set has none
    text, ceiling = json.dumps(data["commission"], ensure_ascii=False), data.get("ceiling", _core.Rule.MAX_CEILING)
    made = RuleVersion(version, begins, text, ceiling)
    try:
        made.rule(currency)
    except ValueError as error:
        code, _, detail = str(error).partition(": ")
        raise Refusal(code, detail or code) from error
    return made


def _add_rule(context: Context, product: str, version: RuleVersion) -> None:
    context.registry.products[product].rules.append(version)
    row = {"version": version.version, "effective_from": version.effective_from, "rule": version.text}
    row |= {"product": product, "ceiling": version.ceiling}
    context.connection.execute(insert(schema.rules).values(row))


def _product_view(context: Context, row: Body) -> Body:
    version = context.registry.products[row["id"]].rule_at(context.at)
    return views.product(row, version.version, version.text)


# --- promoters -------------------------------------------------------------------------------------


def promoter_create(context: Context, data: Body) -> Change:
    body = fingerprint(data)
    standing = row_of(context, schema.promoters, data["id"])
    if standing is not None:
        return again(standing, body, views.promoter)
    whole = defaults.promoter(data)
    parent = whole["parent"]
    if parent is not None and parent not in context.registry.promoters:
        raise Refusal("unknown_parent", f"there is no promoter {parent!r}")
    row = {
        "id": whole["id"],
        "name": whole["name"],
        "parent": parent,
        "kind": whole["kind"],
        "tax": json.dumps(whole["tax"]),
        "person": whole["tax"].get("person", ""),
        "customers": json.dumps(whole["customers"]),
        "status": "active",
        "created": context.at,
        "body": body,
    }
    context.connection.execute(insert(schema.promoters).values(row))
    context.registry.note_promoter(row["id"], Promoter.from_row(row))
    context.registry.forest.add(row["id"], parent)
    _record_parent(context, row["id"], parent, context.at)
    return created(f"promoter:{row['id']}", views.promoter(row), [entries.promoter(row)])


def promoter_update(context: Context, data: Body) -> Change:
    row = existing(context, schema.promoters, data["id"], "promoter")
    row |= _patch(data, defaults.PROMOTER, "name", "kind", "status")
    for name in ("tax", "customers"):
        if name in data:
            row[name] = json.dumps(data[name])
    row["person"] = json.loads(row["tax"]).get("person", "")
    store(context, schema.promoters, row)
    context.registry.note_promoter(row["id"], Promoter.from_row(row))
    return changed(f"promoter:{row['id']}", views.promoter(row), [entries.promoter(row)])


def promoter_parent(context: Context, data: Body) -> Change:
    """Sets the parent from now on; null makes the promoter a root."""
    row, parent = _family(context, data)
    if row["parent"] == parent:
        return Change(Outcome.applied(views.promoter(row)))
    since = context.registry.move_instant(context.at)
    try:
        context.registry.forest.set_parent(row["id"], parent, since)
    except ValueError as error:
        if str(error).partition(":")[0] != "loop":
            raise
        raise Refusal("loop", f"{parent!r} is {row['id']!r} or below it", http=409) from error
    return _moved(context, row, parent, since)


def promoter_bind(context: Context, data: Body) -> Change:
    """Sets the parent once: the first wins, however many ask."""
    row, parent = _family(context, data)
    if parent is None:
        raise Refusal("unknown_parent", "a promoter is bound to a promoter")
    if row["parent"] is not None:
        raise Refusal("already_bound", f"{row['id']!r} is bound to {row['parent']!r}", http=409)
    since = context.registry.move_instant(context.at)
    try:
        context.registry.forest.bind(row["id"], parent, since)
    except ValueError as error:
        if str(error).partition(":")[0] != "loop":
            raise
        raise Refusal("loop", f"{parent!r} is {row['id']!r} or below it", http=409) from error
    return _moved(context, row, parent, since)


def _family(context: Context, data: Body) -> tuple[Body, str | None]:
    row = existing(context, schema.promoters, data["id"], "promoter")
    parent = data["parent"]
    if parent is not None and parent not in context.registry.promoters:
        raise Refusal("unknown_parent", f"there is no promoter {parent!r}")
    return row, parent


def _moved(context: Context, row: Body, parent: str | None, since: int) -> Change:
    row["parent"] = parent
    store(context, schema.promoters, row)
    _record_parent(context, row["id"], parent, since)
    return changed(f"promoter:{row['id']}", views.promoter(row), [])


def _record_parent(context: Context, promoter: str, parent: str | None, since: int) -> None:
    context.connection.execute(
        insert(schema.promoter_parents).values(promoter=promoter, since=since, number=context.number, parent=parent)
    )


# --- links -----------------------------------------------------------------------------------------


def link_create(context: Context, data: Body) -> Change:
    body = fingerprint(data)
    whole = defaults.link(data)
    code = whole.get("code") or _free_code(context)
    standing = row_of(context, schema.links, code)
    if standing is not None:
        return again(standing, body, lambda row: views.link(row, context.registry.products[row["product"]].url))
    if whole["promoter"] not in context.registry.promoters:
        raise Refusal("unknown_promoter", f"there is no promoter {whole['promoter']!r}")
    product = context.registry.products.get(whole["product"])
    if product is None:
        raise Refusal("unknown_product", f"there is no product {whole['product']!r}")
    _check_target(whole["url"], product)
    row = {name: whole[name] for name in (*defaults.LINK, "promoter", "product")}
    row |= {"code": code, "status": "active", "created": context.at, "body": body}
    _check_coupon(context, row, product)
    context.connection.execute(insert(schema.links).values(row))
    context.registry.note_coupon(row)
    return created(f"link:{code}", views.link(row, product.url), [entries.link(row)])


def link_update(context: Context, data: Body) -> Change:
    row = existing(context, schema.links, data["code"], "link")
    product = context.registry.products[row["product"]]
    before = dict(row)
    row |= _patch(data, defaults.LINK, *defaults.LINK, "status")
    _check_target(row["url"], product)
    _check_coupon(context, row, product)
    store(context, schema.links, row)
    context.registry.forget_coupon(before)
    context.registry.note_coupon(row)
    return changed(f"link:{row['code']}", views.link(row, product.url), [entries.link(row)])


def _check_target(url: str, product: Product) -> None:
    if not url:
        return
    host = host_of(url)
    allowed = {allowed.lower() for allowed in product.allowed_hosts} | {host_of(product.url)}
    if host is None or host not in allowed:
        raise Refusal("url_not_allowed", f"the host of {url!r} is not among the product's allowed hosts")


def _check_coupon(context: Context, row: Body, product: Product) -> None:
    """A coupon names one promoter of the merchant, or an order that has it could be anyone's."""
    owner = context.registry.coupon_owner(product.merchant, row["coupon"])
    if row["coupon"] and owner not in (None, row["promoter"]):
        raise Refusal("coupon_taken", f"the coupon {row['coupon']!r} is {owner!r}'s", http=409)


def host_of(url: str) -> str | None:
    """The host of an http or https URL; None for anything else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def _free_code(context: Context) -> str:
    """A code from the event's id: the same event makes the same link when it is applied again."""
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{context.event}\0{attempt}".encode()).digest()
        code = base64.b32encode(digest).decode().lower()[:LINK_CODE_LENGTH]
        if row_of(context, schema.links, code) is None:
            return code
        attempt += 1


# --- tokens ----------------------------------------------------------------------------------------


def token_create(context: Context, data: Body) -> Change:
    row = {"id": context.event, "hash": data["hash"], "role": data["role"], "subject": data.get("subject") or ""}
    subjects: dict[str, Container[str]] = {
        "merchant": context.registry.merchants,
        "promoter": context.registry.promoters,
    }
    known = subjects.get(row["role"])
    if known is not None and row["subject"] not in known:
        raise Refusal(f"unknown_{row['role']}", f"there is no {row['role']} {row['subject']!r}")
    row |= {"expires": data.get("expires"), "created": context.at, "revoked": False}
    context.connection.execute(insert(schema.tokens).values(row))
    return created(f"token:{row['id']}", views.token(row), [])


def token_revoke(context: Context, data: Body) -> Change:
    row = existing(context, schema.tokens, data["id"], "token")
    row["revoked"] = True
    store(context, schema.tokens, row)
    return changed(f"token:{row['id']}", views.token(row), [])


OPERATIONS: dict[str, Callable[[Context, Body], Change]] = {
    "merchant.create": merchant_create,
    "merchant.update": merchant_update,
    "merchant.secret": merchant_secret,
    "merchant.token": merchant_token,
    "product.create": product_create,
    "product.update": product_update,
    "promoter.create": promoter_create,
    "promoter.update": promoter_update,
    "promoter.parent": promoter_parent,
    "promoter.bind": promoter_bind,
    "link.create": link_create,
    "link.update": link_update,
    "token.create": token_create,
    "token.revoke": token_revoke,
}


# --- what the ops share ----------------------------------------------------------------------------


def fingerprint(data: Body) -> str:
    """SHA-256 of a body, whatever the order of its members."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def row_of(context: Context, table: Any, key: str) -> Body | None:
    (column,) = table.primary_key.columns
    row = context.connection.execute(select(table).where(column == key)).mappings().one_or_none()
    return None if row is None else dict(row)


def existing(context: Context, table: Any, key: str, entity: str) -> Body:
    row = row_of(context, table, key)
    if row is None:
        raise Refusal(f"unknown_{entity}", f"there is no {entity} {key!r}", http=404)
    return row


def store(context: Context, table: Any, row: Body) -> None:
    (column,) = table.primary_key.columns
    context.connection.execute(update(table).where(column == row[column.name]).values(row))


def _patch(data: Body, silent: Body, *names: str) -> Body:
    """What a PATCH changes; null puts back what stands where a body is silent."""
    return {name: silent.get(name) if data[name] is None else data[name] for name in names if name in data}


def again(standing: Body, body: str, view: Callable[[Body], Body]) -> Change:
    if standing["body"] != body:
        raise Refusal("conflict", "this id is taken, by another body", http=409)
    return Change(Outcome.applied(view(standing)))


def created(target: str, result: Body, changed: list[Body]) -> Change:
    return Change(Outcome.applied(result, http=201), target, changed)


def changed(target: str, result: Body, changed: list[Body]) -> Change:
    return Change(Outcome.applied(result), target, changed)
