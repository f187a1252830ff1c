"""What stands under many keys, on each engine."""

from sqlalchemy import Engine

from tuike.stores import bulk, schema
from tuike.stores.bulk import Standing

ODD = ("'", "\\", '"', "%", "%s", ":a", "{}", "\n\r\t\x1a", "é中🍵", " ", "", "a", "A", "a ", "NULL")


def key(label: str, number: int = 0) -> bulk.Row:
    return (900 * number, "shop", "tea", "bob", "web", 1, label, 0)


def test_each_key_finds_its_own_row_and_one_without_a_row_nothing(writer: Engine) -> None:
    """Keys of several columns, more than a statement takes, some that differ in a space or in the case of a letter."""
    there = [key(text, number) for text in ODD for number in range(bulk.ROWS // 10)]
    rows = {key: b"%d" % number for number, key in enumerate(there)}
    visitors = Standing(schema.rollups, schema.rollups.c.visitors)
    with writer.begin() as connection:
        assert visitors.find(connection, there) == {}
        bulk.inserting(schema.rollups).run(connection, [(*key, 1, 2, 3, 4, value) for key, value in rows.items()])
        away = [key("b"), key("A ", 1), key("", bulk.ROWS), key(" a")]
        assert visitors.find(connection, [*there, *away]) == rows
        assert visitors.find(connection, away) == {}
        assert visitors.find(connection, []) == {}
