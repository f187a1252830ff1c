"""Bodies, queries and answers of /v1/webhooks."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from tuike.admin.answers import Answer, Next
from tuike.admin.inputs import Code, Input, Url
from tuike.admin.queries import Page
from tuike.sending.happenings import Type

Events = Annotated[list[Type], Meta(min_length=1)]


class WebhookBody(Input):
    """`events` are the types that are sent."""

    id: Code
    url: Url
    events: Events


class WebhookPatch(Input):
    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    status: Literal["active", "paused"] | UnsetType = UNSET


class Deliveries(Page):
    """The newest first."""

    status: Literal["", "delivered", "failing", "dead"] = ""


class Webhook(Answer):
    id: str
    url: str
    events: list[Type]
    status: Literal["active", "paused"]
    created: str


class NewWebhook(Webhook):
    """`secret`, the key of signatures (Standard Webhooks), is shown to whoever made the webhook, this once."""

    secret: str | UnsetType = UNSET


class Webhooks(Answer):
    items: list[Webhook]
    next: Next


class Delivery(Answer):
    """`id` is the header `webhook-id`; `code` the last answer's status, null where there was none."""

    delivery: int
    id: str
    type: Type
    status: Literal["delivered", "failing", "dead"]
    attempts: int
    code: int | None
    detail: str
    at: str
    next: str | None


class DeliveryPage(Answer):
    items: list[Delivery]
    next: Next
