"""One machine's journal, where the instance runs on several: `verify` for hits and messages, run on that machine.

What the other machines brought is held against their journals there; here it only counts in the reports."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, func, select

from tuike import _core
from tuike.clock import wall
from tuike.faults import Found
from tuike.process import ALL, PRODUCER
from tuike.stores.position import Position
from tuike.stores.schema import hit_counts, producers
from tuike.transport.entries import ORDERS
from tuike.verify.hits import READ_LIMIT, Outcomes, answers_of, outcomes_of


class Reached:
    """How far each partition has come with each incarnation. One that positions have forgotten is wholly applied."""

    def __init__(self, connection: Connection, positions: Sequence[Position]) -> None:
        closed = select(producers.c.incarnation).where(producers.c.state == "closed")
        self._closed = {int(incarnation, 16) for incarnation in connection.scalars(closed)}
        self._upto = {kept.partition: kept.upto for kept in positions if kept.fold == "hits"}
        self._books: Mapping[int, int] = next((kept.upto for kept in positions if kept.partition == ORDERS), {})

    def hits(self, partition: int, incarnation: int) -> int:
        return self._known(self._upto.get(partition, {}), incarnation)

    def books(self, incarnation: int) -> int:
        return self._known(self._books, incarnation)

    def _known(self, upto: Mapping[int, int], incarnation: int) -> int:
        return upto.get(incarnation, ALL if incarnation in self._closed else 0)


def check_journal(connection: Connection, root: str, positions: Sequence[Position]) -> str:
    """Every hit up to its partition's position is counted, every message up to the books' has its outcome."""
    reached = Reached(connection, positions)
    counted: Outcomes = Counter()
    waiting: Outcomes = Counter()
    answers: Counter[str] = Counter()
    own = {number for producer, number, _ in _core.incarnations(root) if producer == PRODUCER}
    here: set[int] = {number for _, number, _ in _core.incarnations(root)} - own
    for incarnation, partition, packed in _packed(root):
        whole = _core.Batch.of_entries([("", incarnation, 0, packed)])
        if partition == ORDERS:
            answers.update(answers_of(connection, whole, {incarnation: reached.books(incarnation)}))
            continue
        above = _core.Batch.of_entries([("", incarnation, reached.hits(partition, incarnation), packed)])
        waiting.update(outcomes_of(above))
        counted.update(outcomes_of(whole))
        counted.subtract(outcomes_of(above))
    kept = _kept(connection)
    for key in sorted(kept.keys() | counted.keys()):
        if int(key[0], 16) in here and counted[key] != kept[key]:
            detail = f"{counted[key]} hits in the journal, {kept[key]} counted"
            raise Found(f"journal {key[0]} outcome {key[1]}", detail)
    elsewhere = sum(hits for (incarnation, _), hits in kept.items() if int(incarnation, 16) not in here)
    return (
        f"{answers.total()} messages: {answers['applied']} applied, {answers['set_aside']} set aside, "
        f"{answers['waiting']} waiting; {counted.total()} hits applied, {waiting.total()} not yet; "
        f"{elsewhere} hits of other machines' journals"
    )


def _kept(connection: Connection) -> Outcomes:
    columns = (hit_counts.c.incarnation, hit_counts.c.outcome)
    sums = connection.execute(select(*columns, func.sum(hit_counts.c.hits)).group_by(*columns))
    return Counter({(incarnation, outcome): int(hits) for incarnation, outcome, hits in sums})


def _packed(root: str) -> Iterator[tuple[int, int, bytes]]:
    """All records of the journal, by incarnation and partition. Raises Found where one is damaged."""
    follower, read, more = _core.Follower(root), dict[int, int](), True
    while more:
        shipment = follower.take(read, READ_LIMIT, wall())
        for producer, incarnation, offset, length in shipment.damage:
            raise Found(f"journal {producer}/{incarnation:016x} byte {offset}", f"{length} bytes are damaged")
        yield from ((incarnation, partition, bytes(packed)) for incarnation, partition, packed in shipment.packed)
        read.update({incarnation: seq for _, incarnation, seq, _ in shipment.heard})
        more = shipment.more
