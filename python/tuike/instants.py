"""Instants as people and other programs write them."""

import re
from datetime import datetime


def parse(text: str) -> int:
    """RFC 3339 or Unix seconds, in milliseconds. ValueError for anything else."""
    try:
        if re.fullmatch(r"\d{1,12}", text):
            return int(text) * 1000
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"time {text!r} is neither RFC 3339 nor Unix seconds") from error
    if instant.tzinfo is None:
        raise ValueError(f"time {text!r} names no time zone")
    return round(instant.timestamp() * 1000)
