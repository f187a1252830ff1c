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

    def __init__(self, path: str, after: int = 0) -> None: ...
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

    def __init__(self, root: str) -> None: ...
    def read(self, after: Mapping[int, int], limit: int, now: int) -> Batch:
        """The next events of each incarnation above the given sequence numbers (none given: from the first), at
        most `limit`, by turns. `now` is the time, taken before the call. ValueError: an event of a newer version."""

@final
class Batch:
    """What one read brought."""

    @property
    def upto(self) -> dict[int, int]:
        """Incarnation to the last sequence number read, for those that brought something."""
    @property
    def watermark(self) -> int:
        """Everything received before this instant is in this batch or an earlier one: the least promise of the
        live producers (one silent for 30 s is left out) and of `now`. A read cut short of a promise leaves it where it was."""
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

def merge_sketches(sketches: Sequence[bytes]) -> bytes:
    """The union of visitor sketches (HyperLogLog, 2^12 registers, standard error 1.6 %; bytes as Apache
    DataSketches has them, none for nobody). ValueError: not a sketch."""

def estimate_sketch(sketch: bytes) -> int:
    """How many different visitors: the same however they came and were merged."""

# --- touches -----------------------------------------------------------------------------------

@final
class TouchStore:
    """Clicks and views by visitor, customer, device and fingerprint, in slices by UTC day of `at`.

    Owned by one process; OSError where another has it open, or the disk fails: then open it again."""

    def __init__(self, path: str) -> None: ...
    def put(self, batch: Batch) -> None:
        """Adds the hits of a batch that name a merchant, whether they count or not; adding one again changes
        nothing. Survives the end of the process; call `persist(True)` before committing a position past them."""
    def persist(self, sync: bool) -> None:
        """Hands what was put to the operating system, or with `sync` to the disk."""
    def click(self, id: str) -> dict[str, Any] | None:
        """The click of this id, as `path` has it."""
    def path(
        self, kind: Literal["visitor", "cust", "did", "fingerprint"], merchant: str, key: str, since: int, until: int
    ) -> list[dict[str, Any]]:
        """Touches of a merchant in [since, until], ordered by time then event id; of more than 10,000 the newest.
        The event's fields without address, prefix, agent, fingerprint and referrer."""
    def drop_before(self, instant: int) -> int:
        """Drops the days that ended at or before `instant`; how many there were."""
    def close(self) -> None:
        """Syncs and closes; every other method raises ValueError then."""

# --- edge --------------------------------------------------------------------------------------

@final
class Edge:
    """The responder with its registry, journal, metrics and front: one per worker."""

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
