"""What stands under many keys, on each engine."""

from sqlalchemy import URL, Engine

from tuike.stores import bulk, engine, migrations, schema
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


def test_a_server_answers_by_the_primary_key_alone_even_of_a_table_that_it_knows_nothing_of(server_url: str) -> None:
    """One promoter and one hour, as a campaign begins: by the promoter's index each key would meet all rows."""
    url: URL = engine.parse(server_url)
    books = engine.open_writer(url)
    migrations.upgrade(books)
    keys = [key(f"{number}") for number in range(3_000)]
    visitors = Standing(schema.rollups, schema.rollups.c.visitors)
    with books.begin() as connection:
        bulk.inserting(schema.rollups).run(connection, [(*key, 1, 2, 3, 4, b"") for key in keys])
    with books.begin() as connection:
        if url.get_backend_name() == "postgresql":
            sql = visitors._of_arrays(connection.dialect)
            values: list[object] = [list(column) for column in zip(*keys, strict=True)]
        else:
            sql = visitors._of_rows(connection.dialect, 500)
            values = [value for some in keys[:500] for value in some]
        plan = str(connection.exec_driver_sql(f"EXPLAIN {sql}", tuple(values)).all())
    books.dispose()
    if url.get_backend_name() == "postgresql":
        assert "using rollups_pkey on rollups" in plan
        assert "Seq Scan" not in plan
    else:
        assert "'standing', 'eq_ref', 'PRIMARY'" in plan
    assert "ix_rollups" not in plan
