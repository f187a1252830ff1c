"""GET /v1/retention: how long what is kept, and since when it is."""

from sqlalchemy import Connection

from tuike import retention, views
from tuike.admin import auth, people_answers
from tuike.admin.routes import Body, Call, Route

DAY_MS = 86_400_000
HITS = "visitor, customer, device, fingerprint, address, agent and referrer are taken out; what is counted stays"
BOOKS = "as long as the books; a person's part goes by erasure"
WITH_BOOKS = ("orders and their evidence", "ledger", "audit", "idempotency keys", "clicks that bind a customer")


async def get(call: Call) -> Body:
    return await call.read(_get)


def _get(connection: Connection) -> Body:
    noted = retention.noted(connection)
    before = views.instant(noted["before"]) if noted else None
    hits, touches = ((noted[name] // DAY_MS if noted else None) for name in ("hits", "touches"))
    items = [
        {"kind": "hits", "days": hits, "before": before, "then": HITS},
        {"kind": "touches", "days": touches, "before": None, "then": "their days are deleted"},
        {"kind": "daily keys", "days": 1, "before": None, "then": "overwritten: the day's pseudonyms say nothing"},
    ]
    return {"items": items + [{"kind": kind, "days": None, "before": None, "then": BOOKS} for kind in WITH_BOOKS]}


ROUTES = (Route("GET", "/v1/retention", get, "How long what is kept", auth.READERS, answer=people_answers.Retention),)
