"""Makes again from the journal what the books hold, and compares; or makes what they would hold under another rule.

history      what was booked, with its messages     rebuild    the tables, made again
compare      table by table                             logs       where what was booked is read from
attribution  every order decided again              what_if    all of it decided by another rule or model
"""

from tuike.books.bookkeeper import NUMBER_KEY
from tuike.data import Data
from tuike.faults import Fault, Found, Report
from tuike.replay.compare import compare
from tuike.replay.logs import log_of
from tuike.replay.rebuild import Told, fresh, rebuild_books, rebuild_hits, untold
from tuike.stores import engine, meta, position


def replay(data: Data, max_levels: int, told: Told = untold) -> Report:
    """Rebuilds everything into a fresh database and compares it with the books as they stand now (a snapshot: the
    instance may be running)."""
    report = Report()
    if not engine.exists(data.database):
        report.proved.append("no books yet")
        return report
    books = engine.open_reader(data.database)
    root = str(data.journal)
    try:
        with books.begin() as live, fresh(data) as (_, made):
            number = int(meta.read(live, NUMBER_KEY) or 0)
            folded = position.read(live, "hits").upto
            rebuild_books(made, log_of(live, root), root, number, max_levels, told)
            report.proved.append(f"books: {number} records")
            count = rebuild_hits(made, root, folded)
            report.proved.append(f"hits: {count} events")
            with made.begin() as again:
                report.proved.append(f"no difference: {compare(live, again)}")
    except Found as found:
        report.fault = Fault("replay", found.place, found.detail)
    finally:
        books.dispose()
    return report
