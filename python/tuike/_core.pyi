"""The door to the Rust core. Every function is pure unless it says what it touches.

Times are milliseconds since the Unix epoch; money is in minor units; ids are 32 lower-case hex digits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

__version__: str

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

    def __init__(
        self,
        root: str,
        producer: str,
        incarnation: int,
        *,
        durability: Literal["process", "interval", "always"] = "interval",
        segment_bytes: int = 67_108_864,
    ) -> None: ...
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
        """Blocks (GIL released) until `seq` is synced."""
    def drain(self) -> None: ...
    def tick(self, now: int) -> None:
        """Promises that nothing received before `now` is to come."""
    def close(self, now: int) -> None: ...

@final
class Follower:
    """Reads the journals of all producers under a root, each up to its writer's mark."""

    def __init__(self, root: str) -> None: ...
    def read(self, after: Mapping[int, int], limit: int) -> Batch:
        """The next events of each incarnation above the given sequence numbers, at most about `limit`."""

@final
class Batch:
    """What one read brought."""

    @property
    def upto(self) -> dict[int, int]:
        """Incarnation to the last sequence number read, for those that brought something."""
    @property
    def watermark(self) -> int:
        """Everything received before this instant is in this batch or an earlier one."""
    @property
    def count(self) -> int: ...
    @property
    def more(self) -> bool:
        """Whether the limit cut this read short."""
    @property
    def damage(self) -> list[tuple[str, int, int, int]]:
        """Damaged stretches found: producer, incarnation, offset in bytes, length in bytes."""
    def hit_counts(self) -> dict[int, dict[str, int]]:
        """Per incarnation: hits by outcome (`counted`, `bot`, `prefetch`, or the reason set aside)."""
    def events(self) -> list[tuple[int, int, str, dict[str, Any]]]:
        """All that is no hit: incarnation, sequence number, producer, the event's fields."""
    def rollups(self) -> list[tuple[int, str, str, str, str, int, str, int, int, int, int, bytes]]:
        """Sums of the hits: quarter-hour (seconds), merchant, product, promoter, channel, label
        number (0: none, 1 to 5: sub1 to sub5) and label, impressions, clicks, bots, prefetches,
        sketch of visitors (empty: none)."""

def merge_sketches(sketches: Sequence[bytes]) -> bytes:
    """The union of visitor sketches (HyperLogLog, 2^12 registers, standard error 1.6 %)."""

def estimate_sketch(sketch: bytes) -> int: ...

# --- touches -----------------------------------------------------------------------------------

@final
class TouchStore:
    """Clicks and views by visitor, customer, device and fingerprint. Owned by one process."""

    def __init__(self, path: str) -> None: ...
    def put(self, batch: Batch) -> None:
        """Adds the hits of a batch; adding one again changes nothing."""
    def persist(self, sync: bool) -> None: ...
    def click(self, id: str) -> dict[str, Any] | None: ...
    def path(
        self, kind: Literal["visitor", "cust", "did", "fingerprint"], merchant: str, key: str, since: int, until: int
    ) -> list[dict[str, Any]]:
        """Touches of a merchant in [since, until], ordered by time then event id."""
    def drop_before(self, instant: int) -> int: ...
    def close(self) -> None: ...

# --- identity ----------------------------------------------------------------------------------

def seal(secret: str, purpose: str, plain: bytes, nonce: bytes) -> str:
    """A secret as it may stand in files: ChaCha20-Poly1305 under the instance's secret (64 hex digits);
    `nonce` is 12 random bytes."""

def unseal(secret: str, purpose: str, sealed: str) -> bytes:
    """ValueError where it was sealed under another secret or for another purpose."""

def parse_query(query: bytes) -> list[tuple[str, str]]:
    """The pairs of a query or form, as the responder reads them (WHATWG URL, section 5.1)."""

# --- metrics -----------------------------------------------------------------------------------

def render_metrics(directory: str) -> str:
    """The edges' counters, summed, in Prometheus' text format. Reads files."""

def edge_states(directory: str, now: int) -> list[dict[str, Any]]:
    """What each producer says of itself: producer, process, alive, problem (empty: it can record),
    registry, connections, draining. Reads files."""

# --- edge --------------------------------------------------------------------------------------

@final
class Edge:
    """One worker's core: responder, registry, journal, metrics and front. All calls come from its event loop.

    `now` is the wall clock in milliseconds; where it falls the edge goes on with the highest it has seen.
    """

    def __init__(
        self,
        data: str,
        producer: str,
        incarnation: int,
        *,
        secret: str,
        seed: bytes,
        durability: Literal["process", "interval", "always"] = "interval",
        segment_bytes: int = 67_108_864,
        trusted_proxies: Sequence[str] = (),
        cross_site_cookies: bool = False,
        readable_cookie: bool = False,
    ) -> None:
        """`data` is the data directory, `secret` the instance's (64 hex digits), `seed` 32 bytes of which all
        randomness in answers is made."""
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
    def poll(self, now: int) -> tuple[list[tuple[int, bytes, bool]], bool] | None:
        """One turn of the front. None, or: connections given away (descriptor, unread bytes, whether the front
        has answered there before), and whether to call again at once."""
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
        self, reason: Literal["head_too_large", "target_too_long", "body_too_large", "body_too_slow", "malformed_body", "not_synced"], now: int
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

# --- money -------------------------------------------------------------------------------------

def exponent(currency: str) -> int | None:
    """ISO 4217: how many decimals a currency has; None where there is no such currency."""

def parse_amount(text: str, currency: str) -> int:
    """Minor units of a decimal string. ValueError: `bad_amount` or `bad_currency`."""

def format_amount(amount: int, currency: str) -> str: ...

@final
class Rule:
    """A commission rule, checked when written."""

    def __init__(self, rule: str, currency: str) -> None:
        """From JSON. ValueError with a code and what is wrong."""
    def pool(self, amount: int | None) -> int | None:
        """What the order pays in all; None: the rule needs an amount and there is none."""
    def split(self, amount: int | None, present: Sequence[bool]) -> tuple[int, list[int], int] | None:
        """Pool, each level's part (levels that are not present have 0), the platform's part."""
    def split_many(self, amounts: Sequence[int], present: Sequence[bool]) -> bytes:
        """Many splits at once: little-endian int64, per amount the levels' parts then the platform's."""

def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Largest remainder: integers that sum to `total`, in proportion, ties to the earlier."""

def weights(
    model: Literal["first", "last", "linear", "time_decay", "position"], times: Sequence[int], half_life: int = 604_800_000
) -> list[int]:
    """Weights of 1e-9 that sum to 1e9, for touches at these times (ascending)."""

@final
class Forest:
    """Who invited whom, with its history. 16 bytes a promoter and what changed."""

    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def load(self, ids: Sequence[str], parents: Sequence[int]) -> None:
        """Many at once: `parents` are indexes into `ids`, -1 for none."""
    def add(self, id: str, parent: str | None, at: int) -> None:
        """ValueError `exists`, `unknown_parent`."""
    def set_parent(self, id: str, parent: str | None, at: int) -> None:
        """ValueError `unknown_promoter`, `unknown_parent`, `loop`."""
    def bind(self, id: str, parent: str, at: int) -> bool:
        """Sets the parent once: False where there is one already."""
    def chain(self, id: str, at: int, max_levels: int) -> list[str]:
        """The promoter, the parent, the grandparent ... as the tree was at `at`."""
    def chains(self, indexes: bytes, max_levels: int) -> bytes:
        """Batch over today's tree: u32 indexes in, `max_levels` u32 each out, 0xffffffff for none."""
    def team(self, id: str) -> tuple[int, int, list[int]]:
        """Direct, total, and the count on each level below."""
