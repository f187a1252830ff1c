"""What /v1/postbacks takes and answers."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tuike.admin import queries
from tuike.admin.answers import Answer, Next


class Refused(queries.Page):
    """The newest first."""

    merchant: str = ""
    code: Annotated[str, Meta(description="the reason, e.g. `bad_amount`")] = ""


class Parameter(Struct):
    name: str
    value: str


class RefusedPostback(Answer):
    """`id` is the event's; `parameters` are those that came where the edge refused it, without what authenticated it,
    and those that were read where the books set it aside. `signed`: in our words, not in the merchant's dialect."""

    id: str
    merchant: str
    by: Literal["edge", "books"]
    signed: bool
    at: str
    code: str
    detail: str
    parameters: list[Parameter]


class RefusedPage(Answer):
    items: list[RefusedPostback]
    next: Next


class Replayed(Answer):
    """What became of it: one that is `applied` or `waiting` leaves the list, one that is `set_aside` stays in it."""

    event_id: str
    merchant: str
    status: Literal["applied", "waiting", "set_aside", "dismissed"]
    code: str | None
    detail: str | None
    conversion: str | None
