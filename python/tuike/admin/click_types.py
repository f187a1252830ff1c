"""What /v1/clicks takes and answers."""

from typing import Annotated, Literal

from msgspec import Meta

from tuike.admin.answers import Answer, Next
from tuike.admin.queries import DEFAULT_LIMIT, Cursor, Limit
from tuike.admin.report_queries import Period

WHEN_IT_CAME = "as of when it came: one that was confirmed as fraud since is among those that counted"
VISITOR = "its id, of 32 hex digits"


class Clicks(Period):
    """The newest first. As in reports, instants are widened to whole quarter-hours."""

    promoter: str = ""
    product: str = ""
    merchant: str = ""
    visitor: Annotated[str, Meta(description=VISITOR, pattern="^([0-9a-fA-F]{32})?$")] = ""
    kind: Literal["click", "view", "any"] = "click"
    counted: Annotated[bool | None, Meta(description=WHEN_IT_CAME)] = None
    reason: Annotated[str, Meta(description="why it does not count, e.g. `bot`")] = ""
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = ""


class Click(Answer):
    """`reason` says why it does not count. One that was `embedded`, no navigation, never does, though the reports have
    it among the clicks."""

    click_id: str
    at: str
    counted: bool
    reason: str
    promoter: str
    product: str
    merchant: str
    link: str
    channel: str
    sub1: str
    sub2: str
    sub3: str
    sub4: str
    sub5: str
    bot: bool
    prefetch: bool
    embedded: bool
    private: bool


class ListedClick(Click, kw_only=True):
    """`visitor`, `prefix` (of the address, a /24 or /48) and `referrer` are empty where there is none, and for
    merchants and promoters; the last two are kept of clicks that count alone."""

    kind: Literal["click", "view"]
    visitor: str
    prefix: str
    referrer: str


class ClickPage(Answer):
    """A page ends when it is full, or when so many were looked at that it would take too long: then it may be short or
    empty, with a `next`. Everything that came at `back_to` or later has been looked at; null: all of it."""

    items: list[ListedClick]
    next: Next
    back_to: str | None
