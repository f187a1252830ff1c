"""The machine-readable contract (OpenAPI 3.1) and a page to read it, both from the route table."""

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any

import msgspec
from aiohttp import web

from tuike import __version__
from tuike.admin import answers, problems
from tuike.admin.auth import ADMIN, MERCHANT, MONEY, PROMOTER, READERS
from tuike.admin.routes import Body, Call, Route

REFERENCE = "#/components/schemas/{name}"
PATH_NAME = re.compile(r"{(\w+)}")
# Nothing on the page runs or is loaded from elsewhere.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request is answered as the first time; with another: 422.",
    "schema": {"type": "string", "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}
LONGEST_ENUM = 20  # that is shown on the page
# What types cannot say of their members: see the `__post_init__` of each.
RULES: dict[str, Body] = {
    "ProductPatch": {"dependentRequired": {"effective_from": ["commission"]}},
    "Tax": {
        "allOf": [
            {
                "if": {"properties": {"scheme": {"const": "flat"}}, "required": ["scheme"]},
                "then": {"required": ["percent"]},
                "else": {"not": {"required": ["percent"]}},
            },
            {
                "if": {"required": ["gap"]},
                "then": {"properties": {"scheme": {"const": "cn_platform"}}, "required": ["scheme"]},
            },
        ]
    },
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 2.5rem } h3 { margin: 1.5rem 0 .25rem; font: 600 1rem ui-monospace, monospace }
p { margin: .25rem 0 } table { border-collapse: collapse; margin: .5rem 0 }
td, th { padding: .15rem .75rem .15rem 0; text-align: left; vertical-align: top }
code { font: .9em ui-monospace, monospace } .note { color: #666 }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } .note { color: #999 } a { color: #8bf }
}
"""


def document(routes: Sequence[Route]) -> Body:
    documented = [route for route in routes if route.answer is not None]
    types = {type for route in documented for type in (route.answer, route.body) if type not in (None, str)}
    types |= {answers.Problem, answers.Accepted}
    _, components = msgspec.json.schema_components(
        sorted(types, key=lambda type: type.__name__), ref_template=REFERENCE
    )
    for name, rules in RULES.items():
        components[name] |= rules
    paths: dict[str, Body] = {}
    for route in documented:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tuike admin API",
            "version": __version__,
            "description": "Money is a decimal string beside its currency; times are RFC 3339 in UTC. A role that may "
            "not see something is told 404.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _operation(route: Route) -> Body:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in PATH_NAME.findall(route.path)
    ]
    if route.query is not None:
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": _or_empty(schema)}
            for name, schema in _members(route.query).items()
        ]
    operation: Body = {
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z]+', '_', route.path.removeprefix('/v1/')).strip('_')}",
        "summary": route.summary,
        "description": f"Roles: {', '.join(_roles(route))}." if route.roles else "Anyone, without a token.",
        "responses": {
            str(route.status): _content("Done", route.answer, route.media),
            "default": _content("Refused", answers.Problem, problems.CONTENT_TYPE),
        },
    }
    if route.also:
        operation["responses"][str(route.status)]["content"][route.also] = {"schema": {"type": "string"}}
    if not route.roles:
        operation["security"] = []
    if route.method != "GET" and route.journalled:
        parameters.append(KEY_PARAMETER)
        operation["responses"]["202"] = _content("The books did not answer in 5 seconds", answers.Accepted)
    if route.status == 201:
        operation["responses"]["200"] = _content("It was there already, with the same body", route.answer)
    if route.body is not None:
        operation["requestBody"] = {"required": True} | _content("", route.body)
        del operation["requestBody"]["description"]
    if parameters:
        operation["parameters"] = parameters
    return operation


def _content(description: str, type: Any, media: str = "application/json") -> Body:
    schema = {"type": "string"} if type is str else {"$ref": REFERENCE.format(name=type.__name__)}
    return {"description": description, "content": {media: {"schema": schema}}}


def _or_empty(schema: Body) -> Body:
    """Of a query's parameter: an empty one is missing, whatever it must look like else."""
    kinds = (schema, *schema.get("anyOf", ()))
    shaped = any(one.get("type") == "integer" or "pattern" in one or one.get("format") == "date" for one in kinds)
    return {"anyOf": [schema, {"const": ""}]} if shaped else schema


def _members(type: Any) -> dict[str, Body]:
    _, components = msgspec.json.schema_components([type])
    members: dict[str, Body] = components[type.__name__]["properties"]
    return members


def _roles(route: Route) -> list[str]:
    order = ("admin", "finance", "viewer", "merchant", "promoter")
    known = ADMIN | MONEY | READERS | MERCHANT | PROMOTER
    return [role for role in order if role in route.roles & known]


def page(routes: Sequence[Route]) -> str:
    """The same as HTML: each route with its parameters, body and answer, then the schemas and the codes."""
    contract = document(routes)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>tuike admin API</title><style>{STYLE}</style><h1>tuike admin API {escape(__version__)}</h1>",
        f"<p>{escape(contract['info']['description'])} Send <code>Authorization: Bearer TOKEN</code>; lists take "
        "<code>limit</code> and <code>cursor</code>. For machines: <a href=openapi.json>openapi.json</a>.</p>",
        "<h2>Requests</h2>",
    ]
    for path, operations in contract["paths"].items():
        parts += [_section(path, method, operation) for method, operation in operations.items()]
    parts.append("<h2>Bodies and answers</h2>")
    for name, schema in sorted(contract["components"]["schemas"].items()):
        parts.append(f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(schema.get('description', ''))}</p>")
        required = schema.get("required", [])
        rows = {member: (inner, member in required) for member, inner in schema.get("properties", {}).items()}
        parts.append(_table(rows))
    parts.append("<h2>Codes of refusals</h2><table>")
    parts += [f"<tr id='{code}'><td><code>{code}</code><td>{status}" for code, status in problems.STATUS.items()]
    parts.append("</table><p class=note>The books' own codes come with 404, 409 or 422 and say what is wrong.</p>")
    return "".join(parts)


def _section(path: str, method: str, operation: Body) -> str:
    rows = {
        f"{given['name']} ({given['in']})": (given["schema"], given["required"])
        for given in operation.get("parameters", [])
    }
    text = f"<h3>{method.upper()} {escape(path)}</h3><p>{escape(operation['summary'])}. "
    text += f"<span class=note>{escape(operation['description'])}</span></p>"
    for label, content in (("Body", operation.get("requestBody")), *(_answers(operation))):
        if content is not None:
            text += f"<p>{label}: {_kind(next(iter(content['content'].values()))['schema'])}</p>"
    return text + _table(rows)


def _answers(operation: Body) -> list[tuple[str, Body]]:
    return [(status, content) for status, content in sorted(operation["responses"].items()) if status != "default"]


def _table(rows: dict[str, tuple[Body, bool]]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{_kind(schema)}<td>{'' if required else 'optional'}"
        f"<td>{escape(schema.get('description', ''))}"
        for name, (schema, required) in rows.items()
    )
    return f"<table>{lines}</table>"


def _kind(schema: Body) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if len(schema.get("enum", ())) > LONGEST_ENUM:
        return escape(f"{schema['type']}, {schema.get('description', '')}")
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(one) or 'empty')}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("type", "anything")))


def routes_of(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The two routes that show all others; what they say is made when somebody asks, and once."""

    @cache
    def contract() -> bytes:
        return msgspec.json.encode(document(routes))

    @cache
    def html() -> str:
        return page(routes)

    async def openapi(call: Call) -> web.Response:
        return web.Response(body=contract(), content_type="application/json")

    async def docs(call: Call) -> web.Response:
        headers = {"Content-Security-Policy": PAGE_POLICY, "X-Content-Type-Options": "nosniff"}
        return web.Response(text=html(), content_type="text/html", headers=headers)

    anyone: frozenset[str] = frozenset()
    return (
        Route("GET", "/v1/openapi.json", openapi, "This contract", anyone),
        Route("GET", "/v1/docs", docs, "A page to read it", anyone),
    )
