"""The random keys of each day, under which addresses are kept as pseudonyms."""

from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, select

from tuike import _core
from tuike.stores.schema import daily_keys

KEY_BYTES = 32
NONCE_BYTES = 12
# keys of today and the days ahead, so that an edge cut off from the books goes on for as long
DAYS_AHEAD = 2

Random = Callable[[int], bytes]


def turn(connection: Connection, day: int, secret: str, random: Random) -> None:
    """Keeps yesterday's key, makes those up to `DAYS_AHEAD`, destroys the older ones."""
    connection.execute(delete(daily_keys).where(daily_keys.c.day < day - 1))
    there = set(connection.scalars(select(daily_keys.c.day)))
    for number in range(day, day + DAYS_AHEAD + 1):
        if number not in there:
            key = _core.seal(secret, "day", random(KEY_BYTES), random(NONCE_BYTES))
            connection.execute(insert(daily_keys).values(day=number, key=key))
