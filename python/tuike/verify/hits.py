"""Hits and messages: what was accepted is what was applied, what was set aside with a reason, and what waits."""

from collections import Counter
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, func, select

from tuike import _core
from tuike.books.backlog import BOOKED_KINDS, event_id
from tuike.clock import wall
from tuike.faults import Found
from tuike.process import PRODUCER
from tuike.stores import position
from tuike.stores.members import OPEN, all_lost
from tuike.stores.schema import damage, hit_counts, outcomes, rollups

READ_LIMIT = 50_000
IDS_PER_SELECT = 10_000
STATUSES = ("applied", "set_aside", "waiting")

Outcomes = Counter[tuple[str, str]]
"""Hits by incarnation (hex) and outcome."""


def check_journal(connection: Connection, root: str) -> str:
    """Every hit up to the fold's position is counted, every message up to the books' position has its outcome:
    accepted is applied, set aside with a reason, or waiting. The books' own journal is checked record by record
    (`booked`), and passed over here."""
    own = {number for producer, number, _ in _core.incarnations(root) if producer == PRODUCER}
    upto = position.read(connection, "hits").upto
    folded = {number: seq for number, seq in upto.items() if number not in own}
    come = position.read(connection, "books").upto
    booked = {number: seq for number, seq in come.items() if number not in own}
    counted: Outcomes = Counter()
    read: dict[int, int] = {}
    answers: Counter[str] = Counter()
    for batch in _batches(root, {}, folded):
        _check_sound(batch)
        read.update(batch.upto)
        counted.update(outcomes_of(batch))
        answers.update(answers_of(connection, batch, booked))
    for batch in _batches(root, folded, booked):
        _check_sound(batch)
        answers.update(answers_of(connection, batch, booked))
    for incarnation, seq in folded.items():
        if read.get(incarnation, 0) < seq:
            detail = f"it ends at event {read.get(incarnation, 0)}, event {seq} was applied"
            raise Found(f"journal {incarnation:016x}", detail)
    kept = {(row.incarnation, row.outcome): row.hits for row in connection.execute(select(hit_counts))}
    for key in sorted(counted.keys() | kept.keys()):
        if counted[key] != kept.get(key, 0):
            detail = f"{counted[key]} hits in the journal, {kept.get(key, 0)} counted"
            raise Found(f"journal {key[0]} outcome {key[1]}", detail)
    waiting = sum(sum(outcomes_of(batch).values()) for batch in _batches(root, upto, None))
    apart = Counter({outcome: hits for (_, outcome), hits in counted.items() if outcome != "counted"})
    taken = counted.total() - apart.total()
    return (
        f"{answers.total()} messages: {answers['applied']} applied, {answers['set_aside']} set aside, "
        f"{answers['waiting']} waiting; {counted.total() + waiting} hits: {taken} counted, {apart.total()} not, "
        f"each with its reason, {waiting} hits not folded yet"
    )


def _batches(root: str, after: Mapping[int, int], upto: Mapping[int, int] | None) -> Iterator[_core.Batch]:
    """All that lies between two positions."""
    follower = _core.Follower(root)
    read = dict(after)
    more = True
    while more:
        batch = follower.read(read, READ_LIMIT, wall(), upto)
        yield batch
        read.update(batch.upto)
        more = batch.more


def _check_sound(batch: _core.Batch) -> None:
    """No record of it has been damaged, not even since it was applied."""
    for producer, incarnation, offset, length in batch.damage:
        raise Found(f"journal {producer}/{incarnation:016x} byte {offset}", f"{length} bytes are damaged")


def outcomes_of(batch: _core.Batch) -> Outcomes:
    """Its hits."""
    return Counter(
        {
            (f"{incarnation:016x}", outcome): hits
            for incarnation, outcomes in batch.hit_counts().items()
            for outcome, hits in outcomes.items()
        }
    )


def answers_of(connection: Connection, batch: _core.Batch, booked: Mapping[int, int]) -> Counter[str]:
    """What became of the batch's messages that the books have come past, by status; each has its outcome, and what is
    set aside its reason."""
    places = {
        event_id(incarnation, seq, fields): f"journal {incarnation:016x} event {seq}"
        for incarnation, seq, _, fields in batch.events()
        if fields["kind"] in BOOKED_KINDS and seq <= booked.get(incarnation, 0)
    }
    ids = list(places)
    answers: Counter[str] = Counter()
    columns = (outcomes.c.event_id, outcomes.c.status, outcomes.c.code)
    for start in range(0, len(ids), IDS_PER_SELECT):
        chunk = ids[start : start + IDS_PER_SELECT]
        found = {row.event_id: row for row in connection.execute(select(*columns).where(columns[0].in_(chunk)))}
        for id in chunk:
            row = found.get(id)
            if row is None:
                raise Found(places[id], f"message {id} was passed over")
            if row.status not in STATUSES or (row.status == "set_aside" and not row.code):
                raise Found(places[id], f"message {id} is {row.status!r} without a reason")
            answers[row.status] += 1
    return answers


def check_reports(connection: Connection) -> str:
    """The reports' clicks and impressions are the hits that counted; their bots are bots."""
    sums = connection.execute(
        select(
            func.coalesce(func.sum(rollups.c.impressions + rollups.c.clicks), 0).label("counted"),
            func.coalesce(func.sum(rollups.c.bots), 0).label("bot"),
            func.coalesce(func.sum(rollups.c.prefetches), 0).label("prefetch"),
        ).where(rollups.c.label_number == 0)
    ).one()
    hits = Counter(
        {
            row.outcome: row.hits
            for row in connection.execute(
                select(hit_counts.c.outcome, func.sum(hit_counts.c.hits).label("hits")).group_by(hit_counts.c.outcome)
            )
        }
    )
    # bots and prefetches of codes that nobody knows are counted and stand in no report
    if sums.counted != hits["counted"] or sums.bot > hits["bot"] or sums.prefetch > hits["prefetch"]:
        raise Found("all hits", f"counted {dict(hits)}, the reports say {dict(sums._mapping)}")
    return f"{sums.counted} impressions and clicks"


def lost(connection: Connection) -> str:
    """What was declared lost with a machine: no fault, and nothing to pass over in silence."""
    ranges = [
        f"{row.machine} {row.incarnation} from event {row.first}" + (f" to {row.last}" if row.last < OPEN else " on")
        for row in all_lost(connection)
    ]
    return "; ".join(ranges) or "nothing"


def check_damage(connection: Connection) -> str:
    """No stretch of a journal was found damaged."""
    row = connection.execute(select(damage).order_by(damage.c.found).limit(1)).one_or_none()
    if row is not None:
        place = f"journal {row.producer}/{row.incarnation} byte {row.offset}"
        raise Found(place, f"{row.length} bytes are damaged and were passed over")
    return "none"
