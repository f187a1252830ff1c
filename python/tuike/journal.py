"""What `tuike journal` prints: events, counts, checks."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from tuike import _core
from tuike.data import Data

FIRST = ("producer", "seq", "time", "kind", "id", "aff", "pid", "visitor", "bot", "prefetch", "counted", "reason")
"""The fields that every line has, in this order; the others follow."""


def events(data: Data) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Producer, sequence number and fields of every event."""
    for producer, _, path in _core.incarnations(str(data.journal)):
        for seq, payload in _core.JournalReader(path):
            yield producer, seq, _core.decode_event(payload)


def lines(data: Data) -> Iterator[bytes]:
    """Every event as a line of JSON."""
    for producer, seq, event in events(data):
        at = datetime.fromtimestamp(event.get("at", 0) / 1000, UTC)
        line: dict[str, Any] = dict.fromkeys(FIRST) | {"bot": False, "prefetch": False, "counted": False} | event
        line |= {"producer": producer, "seq": seq, "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        if "body" in line:
            line["body"] = orjson.Fragment(line["body"])
        yield orjson.dumps(line)


def stat(data: Data) -> str:
    """Events by producer, kind and whether they count."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for producer, _, event in events(data):
        outcome = "counted" if event.get("counted") else event.get("reason", "")
        counts[producer, event["kind"], outcome] += 1
    rows = [
        f"{producer:24} {kind:10} {outcome:20} {count:>12}"
        for (producer, kind, outcome), count in sorted(counts.items())
    ]
    return "\n".join([*rows, f"{'all':24} {'':10} {'':20} {counts.total():>12}"])


def check(data: Data) -> tuple[str, bool]:
    """What each incarnation's records came to, and whether all are sound (a torn tail is)."""
    texts, sound = [], True
    for producer, number, path in _core.incarnations(str(data.journal)):
        found = _core.check_journal(path)
        sound &= not found["damage"]
        texts.append(
            f"{producer}/{number:016x}: {found['records']} records, {found['bytes']} bytes, "
            f"{found['torn']} torn at the end, {len(found['damage'])} damaged"
        )
        texts += [f"  segment {segment}, byte {offset}: {length} bytes" for segment, offset, length in found["damage"]]
    return "\n".join(texts), sound
