"""`tuike config`: merchants, products with their rules, promoters, links, templates as one file, for version control.

The file is JSON: sections sorted by id, members in one order, so that a change is a small difference. It holds no
secret, and of a product's rules the one in force. What stands in the books and not in the file is left alone; a section
that is not in the file is, too. Applying is one run of one producer: the books take all of it or none.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Connection, select

from tuike import _core, views
from tuike.admin import inputs, templates
from tuike.admin.problems import Problem
from tuike.clock import wall
from tuike.data import Data, write_private
from tuike.stores import engine, schema
from tuike.submission import Submission

PRODUCER = "config"
FORMAT = "tuike config 1"
SECTIONS = ("merchants", "products", "promoters", "links", "templates")
KEYS = {"merchants": "id", "products": "id", "promoters": "id", "links": "code", "templates": "owner"}
# What cannot be changed once it is there.
FIXED = {
    "merchants": ("currency",),
    "products": ("merchant",),
    "promoters": ("parent",),
    "links": ("promoter", "product"),
}
SECRET_BYTES = 32
NONCE_BYTES = 12
SEAL_PURPOSE = "merchant"

Body = dict[str, Any]
Books = dict[str, dict[str, Body]]


class NotApplied(Exception):
    """Nothing was changed; the message has a line for each reason."""


class Merchant(inputs.MerchantBody):
    status: Literal["active", "paused"] = "active"


class Product(inputs.ProductBody):
    status: Literal["active", "paused"] = "active"


class Promoter(inputs.PromoterBody):
    status: Literal["active", "blocked"] = "active"


class Link(inputs.LinkBody):
    status: Literal["active", "paused"] = "active"

    def __post_init__(self) -> None:
        if self.code is None:
            raise ValueError("a link of the file has its `code`")


class Template(templates.TemplateBody, kw_only=True):
    owner: Annotated[str, Meta(pattern=r"^(instance|(merchant|product):[A-Za-z0-9._-]{1,64})(?!\n)$")]


class File(inputs.Input):
    """A section that is not there is left alone."""

    format: Literal["tuike config 1"]
    merchants: list[Merchant] | UnsetType = UNSET
    products: list[Product] | UnsetType = UNSET
    promoters: list[Promoter] | UnsetType = UNSET
    links: list[Link] | UnsetType = UNSET
    templates: list[Template] | UnsetType = UNSET


@dataclass(slots=True)
class Plan:
    """What applying a file does: a line of text and the writes of each step; and why it cannot."""

    lines: list[str] = field(default_factory=list)
    writes: list[tuple[str, Body]] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)
    merchants: list[str] = field(default_factory=list)
    """Those that are new."""


# --- export ----------------------------------------------------------------------------------------


def export(data: Data, sections: Iterable[str]) -> str:
    """The file of the instance as it stands."""
    books = standing(data)
    shown: Body = {"format": FORMAT}
    for section in SECTIONS:
        if section in sections:
            shown[section] = [_shown(books[section][key]) for key in sorted(books[section])]
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def _shown(body: Body) -> Body:
    expires = body.get("expires")
    return body if expires is None else body | {"expires": views.instant(expires)}


def standing(data: Data) -> Books:
    """What the books have, by section and id, in the shape of the file; instants are milliseconds."""
    if not engine.exists(data.database):
        return {section: {} for section in SECTIONS}
    books = engine.open_reader(data.database)
    try:
        with books.connect() as connection:
            return {
                "merchants": _rows(connection, schema.merchants, "id", _merchant),
                "products": _products(connection),
                "promoters": _rows(connection, schema.promoters, "id", _promoter),
                "links": _rows(connection, schema.links, "code", _link),
                "templates": _rows(connection, schema.templates, "owner", views.template),
            }
    finally:
        books.dispose()


def _rows(connection: Connection, table: Any, key: str, body: Callable[[Any], Body]) -> dict[str, Body]:
    return {row[key]: body(row) for row in connection.execute(select(table)).mappings()}


def _merchant(row: Any) -> Body:
    names = ("id", "name", "currency", "timezone", "settlement", "refund_days", "release_when", "status")
    dialect = None if row["dialect"] is None else json.loads(row["dialect"])
    return {name: row[name] for name in names} | {"dialect": dialect}


def _products(connection: Connection) -> dict[str, Body]:
    now = wall()
    rules: dict[str, str] = {}
    for row in connection.execute(select(schema.rules).order_by(schema.rules.c.product, schema.rules.c.version)):
        if row.product not in rules or row.effective_from <= now:
            rules[row.product] = row.rule

    def body(row: Any) -> Body:
        plain = ("id", "merchant", "name", "category", "url", "fallback_url")
        more = ("cookie_days", "hold_days", "pixel_conversions")
        return {
            **{name: row[name] for name in plain},
            "allowed_hosts": json.loads(row["allowed_hosts"]),
            **{name: row[name] for name in more},
            "attribution": json.loads(row["attribution"]),
            "fraud": json.loads(row["fraud"]),
            "commission": json.loads(rules[row["id"]]),
            "status": row["status"],
        }

    return _rows(connection, schema.products, "id", body)


def _promoter(row: Any) -> Body:
    tax, customers = json.loads(row["tax"]), json.loads(row["customers"])
    plain = {name: row[name] for name in ("id", "name", "parent", "kind")}
    return plain | {"tax": tax, "customers": customers, "status": row["status"]}


def _link(row: Any) -> Body:
    labels = tuple(f"sub{n}" for n in range(1, 6))
    names = ("code", "promoter", "product", "url", "channel", *labels, "coupon", "expires", "status")
    return {name: row[name] for name in names}


# --- apply -----------------------------------------------------------------------------------------


def read(path: Path) -> Books:
    """The file's sections, by id. Raises NotApplied for what is no such file."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=File)
        books: Books = {}
        for section in SECTIONS:
            items = getattr(file, section)
            if items is UNSET:
                continue
            books[section] = {}
            for item in items:
                body = inputs.data(item)
                key = body[KEYS[section]]
                if key in books[section]:
                    raise NotApplied(f"{path}: {section}: {key} is there twice")
                if section == "templates":
                    _check_template(path, body)
                books[section][key] = body | (
                    {"fallback_url": body["fallback_url"] or ""} if section == "products" else {}
                )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotApplied(f"{path}: {error}") from error
    except Problem as problem:
        raise NotApplied(f"{path}: {problem.detail}") from problem
    return books


def _check_template(path: Path, body: Body) -> None:
    try:
        templates.check(body)
    except Problem as problem:
        raise NotApplied(f"{path}: the template of {body['owner']}: {problem}") from problem


def plan(file: Books, books: Books) -> Plan:
    made = Plan()
    for section, wanted in file.items():
        for key in _parents_first(wanted, made) if section == "promoters" else sorted(wanted):
            if section == "templates":
                _plan_template(made, key, wanted[key], books[section].get(key))
            else:
                _plan_one(made, section, key, wanted[key], books[section].get(key))
    return made


def _plan_one(made: Plan, section: str, key: str, wanted: Body, there: Body | None) -> None:
    what = section[:-1]
    name = {"id": key} if section != "links" else {"code": key}
    if there is None:
        made.lines.append(f"create {what} {key}" + (f" under {wanted['parent']}" if wanted.get("parent") else ""))
        made.writes.append(
            (f"{what}.create", {member: value for member, value in wanted.items() if member != "status"})
        )
        if wanted["status"] != "active":
            made.writes.append((f"{what}.update", name | {"status": wanted["status"]}))
        if section == "merchants":
            made.merchants.append(key)
        return
    changed = {member: value for member, value in wanted.items() if value != there[member]}
    for member in FIXED[section]:
        if member in changed:
            mend = f"; see PUT /v1/promoters/{key}/parent" if member == "parent" else ""
            text = f"{what} {key}: `{member}` is {there[member]} and cannot become {changed[member]} by a file{mend}"
            made.impossible.append(text)
    if changed:
        made.lines.append(f"change {what} {key}: {', '.join(_change(there, changed))}")
        made.writes.append((f"{what}.update", name | changed))


def _plan_template(made: Plan, owner: str, wanted: Body, there: Body | None) -> None:
    """A template is set whole; posters are too long to be shown in a line."""
    before = there or {"owner": owner, "poster": None, "texts": []}
    if changed := [member for member in ("poster", "texts") if wanted[member] != before[member]]:
        made.lines.append(f"{'change' if there else 'create'} template {owner}: {', '.join(changed)}")
        made.writes.append(("template.set", wanted))


def _change(there: Body, changed: Body) -> Iterator[str]:
    for member, value in sorted(changed.items()):
        before = there[member]
        if isinstance(value, dict) and isinstance(before, dict) and member != "commission":
            for inner in sorted(value.keys() | before.keys()):
                if value.get(inner) != before.get(inner):
                    yield f"{member}.{inner} {_text(before.get(inner))} -> {_text(value.get(inner))}"
        else:
            yield f"{member} {_text(before)} -> {_text(value)}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _parents_first(promoters: Mapping[str, Body], made: Plan) -> list[str]:
    """So that a parent is made before those below it; a loop in the file is impossible."""
    ordered: dict[str, None] = {}
    for key in sorted(promoters):
        way: dict[str, None] = {}
        step: str | None = key
        while step is not None and step in promoters and step not in ordered:
            if step in way:
                made.impossible.append(f"promoter {step}: above itself in the file")
                break
            way[step] = None
            step = promoters[step]["parent"]
        ordered |= dict.fromkeys(reversed(way))
    return list(ordered)


def apply(
    data: Data, path: Path, keys: Path | None, *, dry: bool, ceiling: int = _core.Rule.MAX_CEILING, **books: Any
) -> Plan:
    """Makes the instance what the file says, whether it is running or not; twice is once. `keys` is the file that the
    postback keys of new merchants are added to, `ceiling` (a rate of 1e-6) that of rules that are new or changed;
    `books` are the processor's settings, for where none runs.

    Raises NotApplied."""
    wanted = read(path)
    with data.needing_room("make room, then apply it again"), Submission(data, PRODUCER, **books) as submission:
        submission.wait()  # for what a run that was killed has journalled
        made = plan(wanted, standing(data))
        if made.impossible:
            raise NotApplied("\n".join(made.impossible))
        if made.merchants and keys is None and not dry:
            raise NotApplied(
                f"{', '.join(made.merchants)}: new merchants have postback keys; say with --keys FILE where to"
            )
        fresh = {merchant: secrets.token_hex(SECRET_BYTES) for merchant in made.merchants}
        events = _events(data, made, fresh, submission.total, ceiling)
        if refused := submission.rehearse(events):
            raise NotApplied("\n".join(reason for _, reason in refused))
        if dry or not events:
            return made
        if keys is not None and fresh:
            _keep(keys, fresh)
        submission.append(events)
        submission.wait()
        if late := [reason for line, reason in submission.refused() if line >= events[0]["line"]]:
            raise NotApplied("changed by others meanwhile; apply it again:\n" + "\n".join(late))
    return made


def _events(data: Data, made: Plan, fresh: Mapping[str, str], first: int, ceiling: int) -> list[Body]:
    now = wall()
    events: list[Body] = []
    for line, (op, body) in enumerate(made.writes, first + 1):
        if op == "merchant.create":
            sealed = _core.seal(data.secret, SEAL_PURPOSE, fresh[body["id"]].encode(), secrets.token_bytes(NONCE_BYTES))
            body = body | {"secret": sealed}
        if "commission" in body:
            body = body | {"ceiling": ceiling}
        request = {"op": op, "data": body, "actor": PRODUCER, "idem": None, "fingerprint": None}
        event = {"kind": "registry", "id": (now.to_bytes(6) + secrets.token_bytes(10)).hex(), "at": now, "line": line}
        events.append(event | {"body": json.dumps(request).encode()})
    return events


def _keep(path: Path, fresh: Mapping[str, str]) -> None:
    """Adds keys to a file of them, on the disk before anything is journalled under them."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    write_private(path, json.dumps(kept | dict(fresh), indent=2, sort_keys=True) + "\n")
