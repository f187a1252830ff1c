"""/v1/promoters/{id}/risk: how closely a promoter should be looked at, and why."""

from typing import Annotated

from msgspec import Meta
from sqlalchemy import Connection, select

from tuike import risk
from tuike.admin import auth
from tuike.admin.answers import Answer
from tuike.admin.problems import not_found
from tuike.admin.routes import Body, Call, Route
from tuike.stores.schema import promoters


class RiskFact(Answer):
    """`value` is null where there is too little to say it; `points` are its part of `weight`."""

    name: str
    what: str
    value: float | None
    weight: int
    points: float


class Risk(Answer):
    """`score` is the sum of the facts' points."""

    promoter: str
    days: int
    score: Annotated[float, Meta(ge=0, le=100)]
    facts: list[RiskFact]


async def get(call: Call) -> Body:
    return await call.read_copy(_get, call.path("id"), call.service.clock())


def _get(connection: Connection, id: str, now: int) -> Body:
    if connection.scalar(select(promoters.c.id).where(promoters.c.id == id)) is None:
        raise not_found(f"promoter {id}")
    found = risk.of_promoter(connection, id, now)
    facts = [
        {
            "name": fact.name,
            "what": risk.WORDS[fact.name],
            "value": None if fact.value is None else round(fact.value, 4),
            "weight": fact.weight,
            "points": fact.points,
        }
        for fact in found.facts
    ]
    return {"promoter": id, "days": risk.DAYS, "score": found.score, "facts": facts}


ROUTES = (
    Route(
        "GET",
        "/v1/promoters/{id}/risk",
        get,
        "How closely a promoter should be looked at, and which facts say so",
        auth.READERS,
        answer=Risk,
    ),
)
