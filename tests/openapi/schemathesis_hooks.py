"""Formats of the admin API's strings that schemathesis does not know, for SCHEMATHESIS_HOOKS: values that are valid."""

import schemathesis
from hypothesis import strategies

FORMATS = {
    "cursor": [""],
    "currency": ["CNY", "USD", "JPY", "KWD"],
    "time-zone": ["UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/St_Johns"],
    "day-or-instant": ["", "2025-01-31", "2025-10-26T02:30:00+02:00", "2026-01-01T00:00:00Z"],
}

for name, values in FORMATS.items():
    schemathesis.openapi.format(name, strategies.sampled_from(values))
