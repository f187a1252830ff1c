"""Many events that differ in a few fields, at over a million a second: encoded once, cut where those fields stand."""

import secrets
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from tuike import _core

PER_WRITE = 10_000
DISK_LIMIT = 60.0
"""Seconds that a write waits for a slow disk at most."""
DISK_PAUSE = 0.1


class Stencil:
    """An event with gaps. Every gap is filled with as many bytes as stood there."""

    def __init__(self, event: Mapping[str, Any], *marks: bytes) -> None:
        """`marks` stand in the encoded `event` once each, in this order."""
        rest = _core.encode_event(event)
        self._pieces = []
        for mark in marks:
            piece, found, rest = rest.partition(mark)
            assert found, f"{mark!r} is not in the event, or not in this order"
            self._pieces.append(piece)
        self._pieces.append(rest)

    def fill(self, *values: bytes) -> bytes:
        """The payload with these values in its gaps."""
        filled = [part for pair in zip(self._pieces[:-1], values, strict=True) for part in pair]
        return b"".join(filled) + self._pieces[-1]

    def repeat(self, value: bytes) -> bytes:
        """The payload with the same value in all gaps."""
        return value.join(self._pieces)


def id_mark(number: int) -> tuple[str, bytes]:
    """An id as an event's field, and the mark that it leaves."""
    mark = bytes([0xA0 + number]) * 16
    return mark.hex(), mark


def time_mark(number: int) -> tuple[int, bytes]:
    """A time in milliseconds as an event's field, and the mark that it leaves."""
    instant = 0x01_90_00_00_00_00 + number
    return instant, instant.to_bytes(8)


def journal(root: str, producer: str, payloads: Iterable[bytes], now: int, *, segment_bytes: int = 64 << 20) -> int:
    """Writes a whole incarnation, which is closed at `now` (ms); its number."""
    incarnation = secrets.randbits(63) or 1
    writer = _core.Writer(root, producer, incarnation, durability="process", segment_bytes=segment_bytes)
    rest = iter(payloads)
    while some := list(islice(rest, PER_WRITE)):
        _append(writer, some)
    writer.close(now)
    return incarnation


def _append(writer: _core.Writer, payloads: list[bytes]) -> None:
    """Appends them as soon as the disk has a segment ready. Who writes without a pause gets ahead of a busy disk; an
    edge refuses after a second, so that nobody waits longer for an answer."""
    until = time.monotonic() + DISK_LIMIT
    while True:
        try:
            writer.append(payloads)
        except _core.JournalFull:
            if writer.problem not in (None, "disk_slow") or time.monotonic() > until:
                raise
            time.sleep(DISK_PAUSE)
        else:
            return
