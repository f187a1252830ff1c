"""The door to the Rust core. Every function is pure unless it says what it touches.

Times are milliseconds since the Unix epoch; money is in minor units; ids are 32 lower-case hex digits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, final

from tuike.books.fraud import Facts

__all__ = [
    "Batch",
    "Edge",
    "Erasure",
    "Follower",
    "Forest",
    "FraudRules",
    "JournalFull",
    "JournalReader",
    "MerkleTree",
    "Networks",
    "Rule",
    "Shipment",
    "SnapshotBuilder",
    "Sums",
    "TouchStore",
    "Writer",
    "allocate",
    "anonymize_segment",
    "bound",
    "chain_hashes",
    "check_journal",
    "decode_event",
    "decode_touch",
    "ed25519_public",
    "ed25519_sign",
    "ed25519_verify",
    "edge_states",
    "encode_event",
    "estimate_sketch",
    "exponent",
    "flood_score",
    "format_amount",
    "format_rate",
    "incarnations",
    "is_erased_person",
    "journal_segments",
    "ledger_leaves",
    "live_marks",
    "look_agent",
    "merge_sketches",
    "merkle_verify",
    "parse_amount",
    "parse_query",
    "parse_rate",
    "pick_touches",
    "pseudonym",
    "read_postback",
    "render_metrics",
    "seal",
    "sketch_error",
    "tally_touches",
    "tax_cn_labour",
    "tax_cn_platform",
    "tax_flat",
    "touch_key",
    "touch_range",
    "unseal",
    "weights",
    "weights_many",
]

# --- event -------------------------------------------------------------------------------------

def encode_event(event: Mapping[str, Any]) -> bytes:
    """The wire form of an event given by its field names (ids as hex). ValueError names a bad field."""

def decode_event(payload: bytes) -> dict[str, Any]:
    """The event's present fields by name. ValueError where it is malformed or of a newer version."""

# --- journal -----------------------------------------------------------------------------------

class JournalFull(OSError):
    """There is no room for this event; nothing of it was written."""

@final
class Writer:
    """One incarnation of one producer: appends events, publishes its mark, syncs in a thread."""

    def __new__(
        cls,
        root: str,
        producer: str,
        incarnation: int,
        *,
        durability: Literal["process", "interval", "always"] = "interval",
        segment_bytes: int = ...,
    ) -> Writer: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def fd(self) -> int:
        """Becomes readable when a sync has ended; read `synced` after draining it with `drain`."""
    @property
    def synced(self) -> int:
        """The last sequence number that is on the disk (as far as `durability` promises at least)."""
    @property
    def problem(self) -> str | None:
        """Why nothing can be recorded now (`disk_full`, ...), or None."""
    def append(self, payloads: Sequence[bytes]) -> int:
        """Writes events with one write; the last one's sequence number. Raises JournalFull."""
    def sync(self) -> None:
        """Asks for a sync of everything appended so far; `fd` tells when it has ended."""
    def wait_synced(self, seq: int, timeout: float) -> bool:
        """Blocks (GIL released) until `seq` is synced, at most `timeout` seconds. Asks for no sync."""
    def drain(self) -> None: ...
    def tick(self, now: int, registry: int = 0) -> None:
        """Promises that nothing received before `now` is to come; says which registry version is applied."""
    def close(self, now: int) -> None:
        """Syncs and ends the incarnation; the other methods raise ValueError then. OSError: not all is synced."""

@final
class JournalReader:
    """One incarnation's records above a sequence number: (sequence number, payload), as far as there are
    any. Iterating again goes on where it stopped."""

    def __new__(cls, path: str, after: int = 0) -> JournalReader: ...
    def __iter__(self) -> JournalReader: ...
    def __next__(self) -> tuple[int, bytes]: ...
    @property
    def damage(self) -> list[tuple[int, int, int]]:
        """Damaged stretches found so far: segment, offset and length in bytes."""

def check_journal(path: str) -> dict[str, Any]:
    """Checks every record of one incarnation's directory: `records`, `bytes` (of sound records), `last`
    (sequence number), `damage` (as JournalReader's), `torn` (bytes at the end), `live`, `closed`."""

def incarnations(root: str) -> list[tuple[str, int, str]]:
    """All incarnations under a root: producer, number, directory; sorted. Never a half-made one."""

def live_marks(root: str) -> dict[str, int]:
    """The registry version that each live producer has applied, by producer."""

@final
class Follower:
    """Reads the journals of all producers under a root, each up to its writer's mark."""

    def __new__(cls, root: str) -> Follower: ...
    def read(self, after: Mapping[int, int], limit: int, now: int, upto: Mapping[int, int] | None = None) -> Batch:
        """The next events of each incarnation above the given sequence numbers (none given: from the first), at
        most `limit`, by turns, and no further than `upto` says. `now` is the time, taken before the call.
        ValueError: an event of a newer version."""

    def take(self, after: Mapping[int, int], limit: int, now: int) -> Shipment:
        """The same as `read`, packed to be sent on. Incarnations at `Shipment.GONE` are left out."""

@final
class Shipment:
    """What one read brought, packed for folds on other machines."""

    ENDED: int
    """The mark of an incarnation of which nothing more is to come."""
    GONE: int
    """The position of an incarnation that is known to be wholly applied, wherever it ends."""
    PARTITIONS: int
    """Of hits; what is no hit has one more behind them."""
    @property
    def heard(self) -> list[tuple[str, int, int, int]]:
        """All incarnations that are there: producer, incarnation, the last sequence number read (in this read or
        before), and the instant before which nothing received comes after that (ms; 0: no word of it, or ENDED)."""
    @property
    def count(self) -> int: ...
    @property
    def more(self) -> bool:
        """Whether the limit cut this read short."""
    @property
    def damage(self) -> list[tuple[str, int, int, int]]:
        """As Batch's."""
    @property
    def packed(self) -> list[tuple[int, int, memoryview]]:
        """Packed records: incarnation, partition, data. A visitor's hits are in one of the partitions from 0 on, all
        else in `PARTITIONS` itself."""

@final
class Batch:
    """What one read brought."""

    @staticmethod
    def of_entries(entries: Sequence[tuple[str, int, int, bytes]]) -> Batch:
        """A batch of packed records: producer, incarnation, the sequence number up to which they are passed over,
        data; each incarnation's in its order. Neither watermark nor damage comes with them. ValueError: cut short,
        or an event of a newer version."""
    @property
    def upto(self) -> dict[int, int]:
        """Incarnation to the last sequence number read, for those that brought something."""
    @property
    def watermark(self) -> int:
        """Everything received before this instant is in this batch or an earlier one: the least promise of the
        live producers (one silent for 30 s is left out) and of `now`. A read cut short of a promise leaves it
        where it was."""
    @property
    def count(self) -> int: ...
    @property
    def more(self) -> bool:
        """Whether the limit cut this read short."""
    @property
    def damage(self) -> list[tuple[str, int, int, int]]:
        """Damaged stretches found: producer, incarnation, offset in bytes as if the incarnation's segments were
        one file, length in bytes."""
    def hit_counts(self) -> dict[int, dict[str, int]]:
        """Per incarnation: hits by outcome (`counted`, `bot`, `prefetch`, or the reason set aside), and events
        that do not read (`malformed`)."""
    def events(self) -> list[tuple[int, int, str, dict[str, Any]]]:
        """All that is no hit: incarnation, sequence number, producer, the event's fields."""
    def rollups(self) -> list[tuple[int, str, str, str, str, int, str, int, int, int, int, bytes]]:
        """Sums of the hits: quarter-hour (seconds), merchant, product, promoter, channel, label
        number (0: none, 1 to 5: sub1 to sub5) and label, impressions, clicks, bots, prefetches,
        sketch of visitors (empty: none)."""
    def touch_rows(self) -> tuple[list[tuple[int, list[tuple[bytes, bytes]]]], list[tuple[bytes, bytes]]]:
        """What a store of touches keeps of the hits, as (key, value): by day since 1970-01-01 UTC, and of clicks that
        bind their customers. Not empty values are events; the keys are those of `touch_key` and `touch_range`."""

@final
class Sums:
    """What the hits of any number of batches add up to."""

    def __init__(self) -> None: ...
    def add(self, batch: Batch) -> None: ...
    def take(
        self,
    ) -> tuple[dict[int, dict[str, int]], list[tuple[int, str, str, str, str, int, str, int, int, int, int, bytes]]]:
        """What was added since the last time, as `Batch.hit_counts` and `Batch.rollups` have it."""

def merge_sketches(sketches: Sequence[bytes]) -> bytes:
    """The union of visitor sketches (HyperLogLog, 2^12 registers, standard error 1.6 %; bytes as Apache
    DataSketches has them, none for nobody). ValueError: not a sketch."""

def estimate_sketch(sketch: bytes) -> int:
    """How many different visitors: the same however they came and were merged."""

def sketch_error(sketch: bytes) -> float:
    """The relative standard error of that: 0.016 of more than some 400, next to nothing of fewer, 0 of nobody."""

# --- touches -----------------------------------------------------------------------------------

def touch_key(id: str) -> bytes:
    """Under what a touch's record stands in its day: a byte, then the id's 16. ValueError: no id."""

def touch_range(
    kind: Literal["visitor", "cust", "did", "fingerprint", "address"], merchant: str, key: str, since: int, until: int
) -> tuple[bytes, bytes] | None:
    """The first and the last key that a merchant's touches in [since, until] may have, in the order of time then
    event id; a key ends in the event id's 16 bytes. None: there can be none. ValueError: no such kind or key."""

def decode_touch(record: bytes) -> dict[str, Any]:
    """The fields that a store of touches keeps. OSError: it is damaged."""

def pick_touches(
    records: Sequence[bytes],
    most: int,
    *,
    kind: str,
    aff: str,
    pid: str,
    merchant: str,
    visitor: str,
    counted: bool | None,
    reason: str,
    since: int,
    until: int,
) -> tuple[list[dict[str, Any]], int]:
    """Of records as `TouchStore.newest_of_day` gives them the first `most` that are asked for, with the fields of
    `decode_touch`, and how many records were looked at. Empty texts and None ask for nothing; `since` and `until` are
    the first and the last instant (ms); a counted click that was `embedded` is none that counts, and has that reason.
    ValueError: no kind of event, no id. OSError: a record is damaged."""

def tally_touches(records: Sequence[bytes], at: int, click_at: int, did: str) -> tuple[int, int, int, int]:
    """What hits of one visitor, customer or fingerprint come to, for an order at `at` after a click at `click_at`:
    counted clicks in the 10 minutes before the order, devices (`did`, the order's own, among them; a visitor where a
    hit has none), visitors, agents within 10 minutes of the click. OSError: a record is damaged."""

@final
class TouchStore:
    """Clicks and views by visitor, customer, device, fingerprint and address, in slices by UTC day of `at`.

    Owned by one process; OSError where another has it open, or the disk fails: then open it again."""

    def __new__(cls, path: str) -> TouchStore: ...
    def put(self, batch: Batch) -> None:
        """Adds the hits of a batch that name a merchant, whether they count or not; adding one again changes
        nothing. Survives the end of the process; call `persist(True)` before committing a position past them."""
    def persist(self, sync: bool) -> None:
        """Hands what was put to the operating system, or with `sync` to the disk."""
    def click(self, id: str) -> dict[str, Any] | None:
        """The click of this id, as `path` has it."""
    def path(
        self,
        kind: Literal["visitor", "cust", "did", "fingerprint", "address"],
        merchant: str,
        key: str,
        since: int,
        until: int,
    ) -> list[dict[str, Any]]:
        """Touches of a merchant in [since, until], ordered by time then event id; of more than 2,000 the newest.
        The event's fields; address, prefix, fingerprint and the referrer's site of clicks that count alone. By address
        only those are found."""
    def bindings(self, kind: Literal["visitor", "cust"], merchant: str, key: str, until: int) -> list[dict[str, Any]]:
        """Clicks up to `until` that bind the customer (the event's `binds`; counted, not embedded), however old,
        as `path` has them; of more than 1,000 the first and the newest 500."""
    def seen(
        self, merchant: str, click: str, visitor: str, cust: str, did: str, since: int, at: int, most: int
    ) -> dict[str, Any]:
        """What fraud rules compare of an order at `at`, whose window begins at `since`, and of the click that it is
        credited to; empty texts are none. `prefix` and `referrer` are the click's. Of its address and UTC day, up to
        the order: `address_clicks` (counted up to `most`); of its fingerprint: `fingerprint_visitors`. Of the visitor
        (the click's, where the order has none) or the customer, whichever are more: `devices` and `clicks_before`, in
        the 10 minutes before the order. `agents` are the visitor's within 10 minutes of the click. Of a fingerprint, a
        visitor or a customer the newest 200 hits are looked at. ValueError: no id."""
    def days(self) -> list[int]:
        """The days since 1970-01-01 UTC that have touches, ascending."""
    def newest_of_day(self, day: int, before: str, most: int) -> list[bytes]:
        """The records of a day's touches whose event ids are below `before` (empty: all), the highest first, so many at
        most. Ids begin with their time. ValueError: no id."""
    def erase(self, erasure: Erasure, merchants: Sequence[str]) -> int:
        """Writes the touches of those who are to be forgotten again, durably, under their fresh ids; how many there
        were. Doing it again changes nothing."""
    def drop_before(self, instant: int) -> int:
        """Drops the days that ended at or before `instant`; how many there were."""
    def close(self) -> None:
        """Syncs and closes; every other method raises ValueError then."""

# --- fraud -------------------------------------------------------------------------------------

@final
class FraudRules:
    """A product's fraud rules, from its JSON object; what it does not say is off. ValueError says what is wrong."""

    def __new__(cls, rules: str) -> FraudRules: ...
    @property
    def off(self) -> bool:
        """Whether none of them says anything."""
    def judge(self, facts: Facts) -> list[tuple[str, int, int, int]]:
        """What they find, in the order of the rules: rule, score (1 to 100: 50 just past its limit, 100 at twice that),
        value, limit (0: the rule only says yes)."""

@final
class Networks:
    """Networks (`192.0.2.0/24`, `2001:db8::/32`), asked about by the prefix that a hit keeps; lines that are narrower
    than such a prefix (/24, IPv6 /48), or no network, are left out."""

    def __new__(cls, lines: Sequence[str]) -> Networks: ...
    @staticmethod
    def kinds(lines: Sequence[str]) -> list[Literal["network", "narrow", "bad"]]: ...
    def holds(self, prefix: str) -> bool: ...

def flood_score(clicks: int, hours: Sequence[int]) -> int:
    """How many robust standard deviations (median, and median absolute deviation) an hour's clicks lie above a
    promoter's other hours, floored; 0 below 200 clicks or with fewer than 24 hours."""

# --- erasure -----------------------------------------------------------------------------------

@final
class Erasure:
    """People who are to be forgotten, and what is written in their place: one fresh id for visitor, customer and
    device, and no address, agent, fingerprint, referrer or unknown parameter. Whatever is rewritten keeps its length,
    and is rewritten once: a second time changes nothing."""

    def __new__(cls, people: Sequence[tuple[Literal["visitor", "customer"], str, str, int, int, str]]) -> Self:
        """Each as kind, merchant (empty for a visitor), who, until when it was received (ms) or up to which number of
        the books it was booked, and a random id. ValueError for what is no visitor's id."""
    @property
    def fresh(self) -> list[str]:
        """What takes each one's place: the random id with an ending that marks it as made by an erasure."""
    def rewrite_segment(self, path: str, index: int) -> int | None:
        """Rewrites a segment of an incarnation's directory, durably and at once; how many of its records. None: it may
        still be written to, and its writer is asked to begin another. OSError."""
    def rewrite_booked(self, record: str) -> str | None:
        """A booked record (JSON); None where there is nothing to rewrite."""
    def rewrite_text(self, merchant: str, json: str) -> str | None:
        """What is kept of one order of the merchant's, likewise, whatever its number."""
    def rewrite_touch(self, record: bytes, binds: bool) -> tuple[list[bytes], list[tuple[bytes, bytes]]] | None:
        """Of a touch's record (`binds`: among the clicks that bind) the keys that go and the rows that come."""
    def find(self, path: str, index: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """The events of a segment that name them, whenever they were received: sequence number and fields."""

def anonymize_segment(path: str, index: int, before: int) -> int | None:
    """Takes visitor, customer, device, fingerprint, address, agent, referrer and unknown parameters out of the hits of
    a segment that were received before an instant; else as `Erasure.rewrite_segment`, but no writer is asked."""

def journal_segments(path: str) -> list[int]:
    """The indexes of an incarnation's segments that have begun."""

def is_erased_person(*, visitor: str = "", cust: str = "", did: str = "") -> bool:
    """Whether an erasure made one of these."""

# --- identity ----------------------------------------------------------------------------------

def seal(secret: str, purpose: str, plain: bytes, nonce: bytes) -> str:
    """A secret as it may stand in files: ChaCha20-Poly1305 under the instance's secret (64 hex digits);
    `nonce` is 12 random bytes."""

def unseal(secret: str, purpose: str, sealed: str) -> bytes:
    """ValueError where it was sealed under another secret or for another purpose."""

def pseudonym(day_key: bytes, address: str) -> tuple[str, str]:
    """An address as it may be kept: its keyed hash (id) and its network (/24, IPv6 /48)."""

def look_agent(agent: bytes) -> tuple[int, bool]:
    """A user agent's hash and whether it says that it is a bot."""

def parse_query(query: bytes) -> list[tuple[str, str]]:
    """The pairs of a query or form, as the responder reads them (WHATWG URL, section 5.1)."""

def read_postback(
    pairs: list[tuple[str, str]], currency: str, received: int, dialect: str | None = None
) -> dict[str, Any]:
    """The order event that a postback's parameters make, without who sent it: `currency` is the merchant's, `received`
    milliseconds, `dialect` the JSON of a dialect's `names` and `statuses` (none: our own words). ValueError is the
    reason code where they make none."""

# --- metrics -----------------------------------------------------------------------------------

def render_metrics(directory: str) -> str:
    """The edges' counters, summed, in Prometheus' text format. Reads files."""

def edge_states(directory: str, now: int) -> list[dict[str, Any]]:
    """What each producer says of itself: producer, process, alive, problem (empty: it can record),
    registry, connections, draining. Reads files."""

# --- registry ----------------------------------------------------------------------------------

@final
class SnapshotBuilder:
    """Writes the registry's snapshot for the edges: all promoters, then all links, each once and in any order.

    Takes 11 bytes of memory for each promoter or each link, whichever are more. OSError where the disk fails."""

    def __new__(cls, path: str, hash_key: bytes, promoters: int, links: int) -> Self:
        """`hash_key` is 16 random bytes; `promoters` and `links` are how many there will be at most."""
    def add_promoters(self, rows: Sequence[str]) -> None:
        """JSON arrays [id, status]. ValueError names a row that cannot be taken."""
    def add_links(self, rows: Sequence[str]) -> None:
        """JSON arrays [code, promoter, product, url, channel, sub1 ... sub5, coupon, expires or null, status], of
        promoters that were added. ValueError names a row that cannot be taken."""
    def finish(self) -> None:
        """Gives the file its name: it is on the disk then, and whole. The other methods raise ValueError after."""

# --- edge --------------------------------------------------------------------------------------

@final
class Edge:
    """One worker's core: responder, registry, journal, metrics and front. All calls come from its event loop.

    `now` is the wall clock in milliseconds; where it falls the edge goes on with the highest it has seen.
    """

    def __new__(
        cls,
        data: str,
        producer: str,
        incarnation: int,
        *,
        secret: str,
        seed: bytes,
        durability: Literal["process", "interval", "always"] = "interval",
        segment_bytes: int = ...,
        trusted_proxies: Sequence[str] = ...,
        cross_site_cookies: bool = False,
        readable_cookie: bool = False,
        rate_limit_hits: int = 0,
        rate_limit_orders: int = 0,
    ) -> Edge:
        """`data` is the data directory, `secret` the instance's (64 hex digits), `seed` 32 bytes of which all
        randomness in answers is made. Limits are of a minute: hits of one address prefix, orders of one merchant; 0:
        any number."""
    def listen(
        self,
        fd: int,
        *,
        connections: int,
        head: float = 10.0,
        idle: float = 75.0,
        stalled: float = 30.0,
        linger: float = 2.0,
    ) -> int:
        """Puts the front before the listening socket `fd`; a descriptor that is readable when `poll` is due.

        Limits: connections at once; seconds for a head, without a request, with answers not taken, and from
        our last byte to closing where the peer does not close."""
    def poll(self, now: int, others_wait: bool) -> tuple[list[tuple[int, bytes, bool]], bool] | None:
        """One turn of the front, a brief one where others wait in the event loop. None, or: connections given away
        (descriptor, unread bytes, whether the front has answered there before), and whether to call again at once."""
    def respond(
        self,
        method: str,
        target: bytes,
        fields: Sequence[tuple[bytes, bytes]],
        peer: str,
        body: bytes | None,
        now: int,
    ) -> tuple[int, str, list[tuple[str, str]], bytes, int | None]:
        """Answers a request that aiohttp has parsed: status, reason, headers, body, and the number that `synced`
        has to reach before the answer may be sent (None: send it)."""
    def fail(
        self,
        reason: Literal[
            "head_too_large", "target_too_long", "body_too_large", "body_too_slow", "malformed_body", "not_synced"
        ],
        now: int,
    ) -> tuple[int, str, list[tuple[str, str]], bytes, None]:
        """The answer where a request could not be read to its end, or its event is not on the disk in time."""
    def count_malformed(self) -> None: ...
    def tick(self, now: int) -> None:
        """Every 50 ms: promises, takes in the registry's changes, gives a sign of life."""
    def sweep(self, away: int) -> bool:
        """Once a second: ends what has waited too long. `away`: connections given away that are open.
        True: `poll` is due."""
    def drain(self) -> None:
        """From now on each answer of the front is its connection's last, and it leaves the listening socket
        once that is empty."""
    def end_idle(self) -> None:
        """Ends the front's connections that have nothing to do."""
    @property
    def ready(self) -> bool:
        """Whether the registry is whole."""
    @property
    def accepting(self) -> bool: ...
    @property
    def connections(self) -> int:
        """Connections that are the front's."""
    @property
    def problem(self) -> str | None:
        """Why nothing can be recorded now (`disk_full`, ...), or None."""
    @property
    def sync_fd(self) -> int:
        """Becomes readable when a sync has ended; `synced` makes it unreadable again."""
    def synced(self) -> int:
        """How many events are on the disk, as far as `durability` promises at least."""
    def close(self, now: int) -> None:
        """Closes the front's connections and ends the incarnation."""

# --- leaves ------------------------------------------------------------------------------------

def ledger_leaves(secret: str, entries: Sequence[tuple[int, int, str, str, int, str, int, str]]) -> list[bytes]:
    """The leaves of entries in a day's Merkle tree, from transfer, position, account, currency, amount, kind,
    instant and id of the transfer: these in text, then a salt in hex, with tabs between. The salt follows from the
    instance's secret (64 hex digits) and the entry's place."""

# --- money -------------------------------------------------------------------------------------

def exponent(currency: str) -> int | None:
    """ISO 4217: how many decimals a currency has; None where there is no such currency."""

def parse_amount(text: str, currency: str) -> int:
    """Minor units of a decimal string. ValueError: `bad_amount` or `bad_currency`."""

def format_amount(amount: int, currency: str) -> str:
    """The decimal string, sign and all. ValueError: `bad_currency`."""

def parse_rate(text: str) -> int:
    """A percentage as an integer of 1e-6: at most 4 decimals, and at most 100. ValueError: `bad_rate`."""

def format_rate(rate: int) -> str:
    """The shortest decimal string of a rate (an integer of 1e-6) in percent: 500000 is "50"."""

# promoter, kind, weight of 1e-9, sales of the month before the order (only tiered rules look), promoter
# tier ("" for none), and which levels of the chain can be paid (what is not said is not)
_Credit = tuple[str, str, int, int, str, Sequence[bool]]

@final
class Rule:
    """A commission rule (money.md, section 3), checked when written."""

    MAX_CEILING: ClassVar[int]
    """The highest ceiling that an operator may set: half of the amount, in 1e-6. It is a hard bound: the database has
    it as a check, and from 58 % on the pool of the largest order could not be shared out in 128 bits."""

    def __new__(cls, rule: str, currency: str, ceiling: int = ...) -> Self:
        """From JSON. No order pays more than floor(`ceiling` x amount); it is a rate of 1e-6, `MAX_CEILING` by
        default. ValueError `code: what is wrong`; the codes are `bad_ceiling` (none above 0, up to `MAX_CEILING`),
        `bad_rule`, `unknown_type`, `unknown_key`, `bad_value`, `negative_value`, `too_many_decimals`, `too_large`,
        `above_ceiling`, `bad_level`, `too_many_levels`, `duplicate_level`, `levels_above_pool`, `bad_tiers`,
        `tiers_out_of_order`, `bad_bonus`, `bad_season`, `bad_override`, `bad_currency`."""
    @property
    def levels(self) -> int:
        """The highest level that the rule or any of its overrides names."""
    @property
    def needs_total(self) -> bool:
        """Whether a credit's sales of the month matter: a tiered rule."""
    @property
    def needs_tier(self) -> bool:
        """Whether a credit's promoter tier matters."""
    @property
    def daily_budget(self) -> int | None:
        """What all orders of the merchant's local day may pay together."""
    def below_min_amount(self, amount: int | None) -> bool:
        """Whether the order is too small to pay anything; its pool is 0 then."""
    def book(self, amount: int | None, at: int, credits: Sequence[_Credit]) -> tuple[int, list[dict[str, Any]]] | None:
        """The order's pool, and for each credit in turn its part and how it came about. None: the rule needs an
        amount and the order has none. All values are integers of the minor unit unless said:

        - `override`: "promoter", "kind" or None, the one that applied
        - `rates`: [amount, rate of 1e-6] of each part of the order that has a rate of its own; fixed has none
        - `base`, `bonuses` (as they stand in the rule, None for one that does not apply)
        - `multiplier` of the season in 1e-4; `main`: (base + bonuses) x multiplier; `tier_bonus`: level 1's own
        - `max_per_order`, `ceiling`: the caps, None for one that does not apply; `pool`: the least of
          main + tier_bonus and both
        - `part`: the credit's of the order's pool; `bonus`: what of `part` is tier bonus
        - `levels` (level 1 with the bonus, as many as `Rule.levels`) and `platform`, which sum to `part`

        Below the rule's `min_amount` nothing applies and all are 0. An order without amount takes fixed parts uncut:
        no cap applies, nor a bonus with a `min_amount`, nor the tier bonus.
        ValueError: `bad_amount` (an amount or total of more than 15 digits), `bad_weights` (they do not sum to
        1e9), `unknown_tier`."""
    def split_many(self, amounts: Sequence[int], at: int, credit: _Credit) -> bytes:
        """Many orders at `at` that are each this credit's alone, whatever its weight: little-endian int64, per
        amount the levels' parts then the platform's. ValueError as `book`."""

def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Largest remainder: integers that sum to `total`, in proportion, ties to the earlier.
    ValueError: `no_weight` above 0 for a total above 0, `too_large` (total x sum of 2^128 or more)."""

def weights(
    model: Literal["first", "last", "linear", "time_decay", "position"], times: Sequence[int], half_life: int = ...
) -> list[int]:
    """Weights of 1e-9 that sum to 1e9, for touches at these times (ascending). The half-life of `time_decay`
    is 7 days by default. ValueError: `unknown_model`, `not_ascending`, `bad_half_life` (under an hour),
    `too_many_touches`."""

def weights_many(
    model: Literal["first", "last", "linear", "time_decay", "position"],
    times: bytes,
    lengths: bytes,
    half_life: int = ...,
) -> bytes:
    """The same of many paths in one call, beside which other threads run: `times` are little-endian uint64, one path
    after the other, `lengths` the paths' numbers of touches as uint32; answers with the weights as uint32, one for each
    of `times`. ValueError as `weights`, and `bad_lengths` where they do not sum to the number of times."""

def bound(mode: Literal["first", "last", "mixed"], clicks: Sequence[int], protect: int) -> int | None:
    """Which of a customer's eligible clicks (instants in ms, ordered by time then event id) binds after the last of
    them; None for no clicks. `mixed`: a click less than `protect` ms after the binding one never takes over, a
    later one does, and is protected in its turn. To go on from a binding known before, give its click first.
    ValueError: `unknown_mode`, `not_ascending`."""

@final
class Forest:
    """Who invited whom, with its history. 16 bytes a promoter and what changed."""

    def __new__(cls) -> Self: ...
    def __len__(self) -> int: ...
    def load(self, ids: Sequence[str], parents: Sequence[int]) -> None:
        """Many new promoters at once, all or none: `parents` are indexes into `ids`, -1 for none. They are
        the parents at creation; what changed since follows by `set_parent`, in the order it was done.
        ValueError `exists`, `unknown_parent`, `loop`."""
    def add(self, id: str, parent: str | None) -> None:
        """A new promoter, whose parent counts from always. ValueError `exists`, `unknown_parent`."""
    def set_parent(self, id: str, parent: str | None, at: int) -> None:
        """From `at` on, but never from before the last change made (of any promoter).
        ValueError `unknown_promoter`, `unknown_parent`, `loop`."""
    def bind(self, id: str, parent: str, at: int) -> bool:
        """Sets the parent once: False where there is one already. ValueError as `set_parent`."""
    def chain(self, id: str, at: int, max_levels: int) -> list[str]:
        """The promoter, the parent, the grandparent ... as the tree was at `at`.
        ValueError `unknown_promoter`."""
    def chains(self, indexes: bytes, max_levels: int) -> bytes:
        """Batch over today's tree: u32 indexes in, `max_levels` u32 each out, 0xffffffff for none.
        Little-endian; promoters are counted from 0 as they came in."""
    def team(self, id: str) -> tuple[int, int, list[int]]:
        """Direct, total, and the count on each level below. ValueError `unknown_promoter`."""
    def teams(self, groups: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
        """Of each group of promoters, and last of everyone who is in none: how many are directly below them, and
        how many in all; one who is below two of a group counts twice. Takes about 0.1 s a million."""

# --- tax ---------------------------------------------------------------------------------------

def tax_cn_labour(total: int) -> int:
    """The tax on a month's labour remuneration of `total`, in fen, rounded half up: prepayment of residents,
    State Taxation Administration announcement 2018/61, article 8. ValueError `bad_amount`: over 15 digits."""

def tax_cn_platform(income: int, months: int) -> int:
    """The cumulative tax on `income` in a run of `months` months (1 to 12), in fen, rounded half up, 0 where
    the deductions are more: announcement 2025/16 on internet platforms. What a payout withholds is this less what
    was withheld in the run, never below 0. ValueError `bad_amount`, `bad_months`."""

def tax_flat(amount: int, rate: int) -> int:
    """`rate` of 1e-6 of an amount, rounded half up. ValueError `bad_amount`, `bad_rate` (above 1e6)."""

# --- proofs ------------------------------------------------------------------------------------

def chain_hashes(
    previous: bytes, first: int, transfers: Sequence[tuple[str, Sequence[tuple[str, int]]]]
) -> list[bytes]:
    """The ledger's hash chain, carried on over transfers (currency, entries of account and amount) that are
    numbered from `first`. Each hash is SHA-256 over the hash before it, then `number` and a line feed, then per
    entry account, currency and amount with tabs between and a line feed. ValueError `bad_hash`: `previous` has not
    32 bytes."""

@final
class MerkleTree:
    """The Merkle tree over leaves (RFC 9162, section 2.1): SHA-256, leaves and nodes under different prefixes.
    64 bytes of memory a leaf."""

    def __new__(cls, leaves: Sequence[bytes]) -> Self: ...
    @property
    def root(self) -> bytes:
        """32 bytes; of no leaves the hash of nothing."""
    def proof(self, index: int) -> list[bytes]:
        """The hashes that prove the leaf with this index. IndexError."""

def merkle_verify(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that the tree of `size` leaves under `root` has this leaf at `index`."""

def ed25519_public(seed: bytes) -> bytes:
    """The public key (32 bytes) of a private one (32 random bytes), as RFC 8032 has it. ValueError `bad_key`."""

def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """64 bytes; the same for the same message. ValueError `bad_key`: the seed has not 32 bytes."""

def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is the key's over the message; False also for what is no key or no signature."""
