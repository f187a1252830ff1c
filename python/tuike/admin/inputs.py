"""Bodies of requests. What they refuse is a 400 that names the member; defaults stand in the schema.

Only shape is judged here; whether it can be done is the bookkeeper's to say.
"""

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from string import ascii_uppercase
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from tuike import _core
from tuike.admin.problems import Problem

MAX_NAME = 256
MAX_URL = 2_048
MAX_HOSTS = 100
MAX_CUSTOMERS = 1_000
MAX_REASON = 512
MAX_DAYS = 3_650
MAX_COOKIE_DAYS = 30
MIN_HALF_LIFE_DAYS = 1 / 24

MAX_RULE_DEPTH = 8
MAX_OVERLAP_HOURS = 168
MAX_DIALECT = 64

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LAST_INSTANT = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MILLISECOND

# `$` alone would let a line feed at the end pass.
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}(?!\n)$")]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Reason = Annotated[str, Meta(min_length=1, max_length=MAX_REASON)]
Label = Annotated[str, Meta(max_length=512)]
Channel = Annotated[str, Meta(max_length=64)]
# A name in letters, digits and hyphens (RFC 1123, 2.1): an internationalised one is given in punycode.
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = rf"{LABEL}(\.{LABEL})*"
PORT = r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})"
# No user information, backslash or control character: nothing that a browser could read differently.
HTTP_URL = rf"https?://{HOST}(:{PORT})?([/?#][^\s\\\x00-\x1f\x7f]*)?"
Url = Annotated[str, Meta(pattern=rf"^{HTTP_URL}(?!\n)$", max_length=MAX_URL)]
MaybeUrl = Annotated[str, Meta(pattern=rf"^({HTTP_URL})?(?!\n)$", max_length=MAX_URL, description="empty: none")]
Host = Annotated[str, Meta(pattern=rf"^{HOST}(?!\n)$", max_length=253)]
Currency = Annotated[
    str, Meta(pattern="^[A-Z]{3}(?!\n)$", description="ISO 4217", extra_json_schema={"format": "currency"})
]
CURRENCIES = [code for code in map("".join, product(ascii_uppercase, repeat=3)) if _core.exponent(code) is not None]
Timezone = Annotated[str, Meta(description="of the IANA database", extra_json_schema={"format": "time-zone"})]
Settlement = Annotated[str, Meta(pattern=r"^(T\+[0-9]{1,3}|weekly|monthly)(?!\n)$")]
ReleaseWhen = Literal["approved", "funded"]
Days = Annotated[int, Meta(ge=0, le=MAX_DAYS)]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,4})?(?!\n)$", description="decimal, in major units")]
# Of 1971 to 9989: in the range that can be stored, whatever the zone
YEARS = "^(197[1-9]|19[89][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9])-"
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339", extra_json_schema={"pattern": YEARS})]
Percent = Annotated[
    str, Meta(pattern=r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)(?!\n)$", description="decimal, at most 100")
]
Model = Literal["first", "last", "linear", "time_decay", "position"]
Binding = Literal["none", "first", "last", "mixed"]
Pixel = Literal["accept", "hold", "reject"]
Kind = Literal["member", "kol"]
Rule = Annotated[dict[str, Any], Meta(description="commission rule: `type`, `value`, `levels`, ...")]

T = TypeVar("T")

# A number that JSON takes for whole and Python's reader does not
WHOLE_NUMBER = re.compile(rb"[0-9](?:\.0|[eE])")


def milliseconds(instant: datetime) -> int:
    """Problem `bad_body` outside of what can be stored, and shown again in UTC."""
    ms = (instant - EPOCH) // MILLISECOND
    if not 0 <= ms <= LAST_INSTANT:
        raise Problem("bad_body", f"the instant {instant.isoformat()} is not in the years 1970 to 9999 of UTC")
    return ms


class Input(Struct, forbid_unknown_fields=True):
    """A member that is not known is refused: a mistyped setting of money must not pass for a default."""


OurName = (
    Literal[
        "click_id", "oid", "pid", "amount", "currency", "status", "aff", "coupon", "cust", "did", "time", "refund_id"
    ]
    | Literal["sub1", "sub2", "sub3", "sub4", "sub5", "ch", "token"]
)
# `merchant` says whose dialect it is, and `sig` that it is none.
TheirName = Annotated[str, Meta(pattern=r"^(?!(merchant|sig)(?!\n)$)[A-Za-z0-9._-]{1,64}(?!\n)$")]
TheirStatus = Annotated[str, Meta(min_length=1, max_length=64)]
Tracker = Literal["everflow", "keitaro", "voluum", "binom", "tune"]


class DialectMaps(Input):
    """Names of postback parameters to ours, null: not read; statuses, whatever their case, to ours."""

    names: Annotated[dict[TheirName, OurName | None], Meta(max_length=MAX_DIALECT)]
    statuses: Annotated[
        dict[TheirStatus, Literal["pending", "approved", "rejected", "refunded"]], Meta(max_length=MAX_DIALECT)
    ] = {}


class MerchantBody(Input):
    id: Code
    name: Name
    currency: Annotated[Currency, Meta(extra_json_schema={"enum": CURRENCIES})]
    timezone: Timezone = "UTC"
    settlement: Settlement = "T+1"
    refund_days: Days = 0
    release_when: ReleaseWhen = "approved"
    dialect: Tracker | DialectMaps | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        _check_currency(self.currency)
        check_timezone(self.timezone)


class MerchantPatch(Input):
    name: Name | UnsetType = UNSET
    timezone: Timezone | UnsetType = UNSET
    settlement: Settlement | UnsetType = UNSET
    refund_days: Days | UnsetType = UNSET
    release_when: ReleaseWhen | UnsetType = UNSET
    dialect: Tracker | DialectMaps | UnsetType | None = UNSET
    status: Literal["active", "paused"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.timezone is not UNSET:
            check_timezone(self.timezone)


class SecretBody(Input):
    """How long the key before the new one is valid too; 0: not at all, for one that has leaked."""

    overlap_hours: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_HOURS)] = 24


WindowDays = Annotated[int, Meta(ge=1, le=365)]
HalfLife = Annotated[int, Meta(ge=1, le=365)] | Annotated[float, Meta(ge=MIN_HALF_LIFE_DAYS, le=365)]
ViewHours = Annotated[int, Meta(ge=1, le=720)]
Minutes = Annotated[int, Meta(ge=0, le=1_440)]
Limit = Annotated[int, Meta(ge=0, le=1_000_000, description="0 turns the rule off")]
CookieDays = Annotated[int, Meta(ge=1, le=MAX_COOKIE_DAYS)]
Hosts = Annotated[list[Host], Meta(max_length=MAX_HOSTS)]


class Attribution(Input):
    model: Model = "last"
    window_days: WindowDays = 30
    half_life_days: HalfLife = 7
    binding: Binding = "none"
    binding_fallback: bool = False
    protect_days: Days = 7
    path_reset: bool = False
    view_through: bool = False
    view_window_hours: ViewHours = 24
    coupon_first: bool = False
    self_purchase: bool = False
    collapse_minutes: Minutes = 30


class AttributionPatch(Input):
    """What is not given stays as it is."""

    model: Model | UnsetType = UNSET
    window_days: WindowDays | UnsetType = UNSET
    half_life_days: HalfLife | UnsetType = UNSET
    binding: Binding | UnsetType = UNSET
    binding_fallback: bool | UnsetType = UNSET
    protect_days: Days | UnsetType = UNSET
    path_reset: bool | UnsetType = UNSET
    view_through: bool | UnsetType = UNSET
    view_window_hours: ViewHours | UnsetType = UNSET
    coupon_first: bool | UnsetType = UNSET
    self_purchase: bool | UnsetType = UNSET
    collapse_minutes: Minutes | UnsetType = UNSET


class Fraud(Input):
    """What an order may show before a person looks at it. `max_clicks_before_order` is of one visitor or customer in
    the 10 minutes before the order; `max_flood_score` how many robust standard deviations a promoter's hour may lie
    above the hours of the week before; `max_refund_percent` how many of a promoter's newest orders may come to nothing.
    `self_referral` is rings too; `datacentres` are the networks of /v1/fraud/networks; `mismatch` is a click from the
    product's own site, or a visitor with two user agents at once. To those that are off by default 20, 50, 10 and 50
    are a start."""

    max_clicks_per_ip_day: Limit = 100
    min_seconds_to_order: Limit = 5
    max_devices: Limit = 5
    max_clicks_before_order: Limit = 0
    max_visitors_per_fingerprint: Limit = 0
    max_flood_score: Limit = 0
    max_refund_percent: Limit = 0
    self_referral: bool = False
    datacentres: bool = True
    mismatch: bool = False


class FraudPatch(Input):
    """What is not given stays as it is."""

    max_clicks_per_ip_day: Limit | UnsetType = UNSET
    min_seconds_to_order: Limit | UnsetType = UNSET
    max_devices: Limit | UnsetType = UNSET
    max_clicks_before_order: Limit | UnsetType = UNSET
    max_visitors_per_fingerprint: Limit | UnsetType = UNSET
    max_flood_score: Limit | UnsetType = UNSET
    max_refund_percent: Limit | UnsetType = UNSET
    self_referral: bool | UnsetType = UNSET
    datacentres: bool | UnsetType = UNSET
    mismatch: bool | UnsetType = UNSET


class ProductBody(Input):
    id: Code
    merchant: Code
    name: Name
    url: Url
    commission: Rule
    category: Annotated[str, Meta(max_length=64)] = ""
    fallback_url: MaybeUrl | None = ""
    allowed_hosts: Hosts = []
    cookie_days: CookieDays = 30
    hold_days: Days = 0
    pixel_conversions: Pixel = "hold"
    attribution: Attribution = field(default_factory=Attribution)
    fraud: Fraud = field(default_factory=Fraud)

    def __post_init__(self) -> None:
        check_depth(self.commission)


class ProductPatch(Input):
    """`commission` begins a new version of the rule, at `effective_from` or now."""

    name: Name | UnsetType = UNSET
    category: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    fallback_url: MaybeUrl | UnsetType | None = UNSET
    allowed_hosts: Hosts | UnsetType = UNSET
    cookie_days: CookieDays | UnsetType = UNSET
    hold_days: Days | UnsetType = UNSET
    pixel_conversions: Pixel | UnsetType = UNSET
    attribution: AttributionPatch | UnsetType = UNSET
    fraud: FraudPatch | UnsetType = UNSET
    commission: Rule | UnsetType = UNSET
    effective_from: Instant | UnsetType = UNSET
    status: Literal["active", "paused"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.effective_from is not UNSET and self.commission is UNSET:
            raise ValueError("`effective_from` says when a new `commission` begins, and there is none")
        if self.commission is not UNSET:
            check_depth(self.commission)


class Tax(Input):
    """`person` joins several accounts of one; `gap` says what a month without income is to `cn_platform`."""

    scheme: Literal["none", "flat", "cn_labour", "cn_platform"] = "none"
    percent: Percent | UnsetType = UNSET
    person: Annotated[str, Meta(min_length=1, max_length=128)] | UnsetType = UNSET
    gap: Literal["restart", "continue"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.gap is not UNSET and self.scheme != "cn_platform":
            raise ValueError("`gap` is given with the scheme `cn_platform`, and only there")
        if (self.scheme == "flat") != (self.percent is not UNSET):
            raise ValueError("`percent` is given with the scheme `flat`, and only there")


class Customer(Input):
    merchant: Code
    cust: Annotated[str, Meta(min_length=1, max_length=512)]


Customers = Annotated[list[Customer], Meta(max_length=MAX_CUSTOMERS)]


class PromoterBody(Input):
    id: Code
    name: Name
    parent: Code | None = None
    kind: Kind = "member"
    tax: Tax = field(default_factory=Tax)
    customers: Customers = []


class PromoterPatch(Input):
    name: Name | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    tax: Tax | UnsetType = UNSET
    customers: Customers | UnsetType = UNSET
    status: Literal["active", "blocked"] | UnsetType = UNSET


class ParentBody(Input):
    """Null makes the promoter a root."""

    parent: Code | None
    reason: Reason


class BindBody(Input):
    parent: Code


class LinkBody(Input):
    """`url` is where it leads when that is not the product's own page; its host must be the product's or allowed."""

    promoter: Code
    product: Code
    code: Code | None = None
    url: MaybeUrl = ""
    channel: Channel = ""
    sub1: Label = ""
    sub2: Label = ""
    sub3: Label = ""
    sub4: Label = ""
    sub5: Label = ""
    coupon: Annotated[str, Meta(max_length=64)] = ""
    expires: Instant | None = None


class LinkPatch(Input):
    url: MaybeUrl | UnsetType = UNSET
    channel: Channel | UnsetType = UNSET
    sub1: Label | UnsetType = UNSET
    sub2: Label | UnsetType = UNSET
    sub3: Label | UnsetType = UNSET
    sub4: Label | UnsetType = UNSET
    sub5: Label | UnsetType = UNSET
    coupon: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    expires: Instant | UnsetType | None = UNSET
    status: Literal["active", "paused"] | UnsetType = UNSET


class DecisionBody(Input):
    reason: Reason


class RefundBody(Input):
    """Without `amount` all that is left. The Idempotency-Key names a partial refund, so that a repeat is a no-op;
    without the key each request is a refund of its own."""

    reason: Reason
    amount: Amount | None = None


class TokenBody(Input):
    """A year by default."""

    role: Annotated[str, Meta(pattern=r"^(admin|finance|viewer|(merchant|promoter):[A-Za-z0-9._-]{1,64})(?!\n)$")]
    expires: Instant | None = None


def read(raw: bytes, kind: type[T]) -> T:
    """The body of a request. Problem `bad_json` or `bad_body`, with the member that is wrong."""
    try:
        if WHOLE_NUMBER.search(raw):
            return msgspec.convert(_whole(msgspec.json.decode(raw)), kind)
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Problem("bad_body", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("bad_json", str(error)) from error
    except RecursionError as error:
        raise Problem("bad_json", "it is nested too deeply") from error


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 7.0 is as whole as 7."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def data(body: Input) -> dict[str, Any]:
    """A body as the bookkeeper takes it: what was given, instants in milliseconds."""
    built: dict[str, Any] = msgspec.to_builtins(body, builtin_types=(datetime,))
    return {name: milliseconds(value) if isinstance(value, datetime) else value for name, value in built.items()}


def check_timezone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"`{name}` is no time zone of the IANA database") from error


def check_depth(rule: Any, depth: int = 1) -> None:
    """The rule is the books' to judge, and they write it as JSON: what they could not write must not get there."""
    if depth > MAX_RULE_DEPTH:
        raise ValueError(f"the rule is nested more than {MAX_RULE_DEPTH} deep")
    for inner in rule.values() if isinstance(rule, dict) else rule if isinstance(rule, list) else ():
        check_depth(inner, depth + 1)


def _check_currency(code: str) -> None:
    if _core.exponent(code) is None:
        raise ValueError(f"`{code}` is no currency of ISO 4217")
