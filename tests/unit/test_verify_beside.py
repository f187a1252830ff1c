"""`verify` while the instance runs: what changes beside it is no fault."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from proof_kit import World
from tuike import verify
from tuike.erasing import LOOK_MS
from tuike.replay.logs import BookedLog, log_of
from tuike.stores import schema

LOOKS_AT_MOST = 20


def erase(world: World) -> None:
    world.forget(1)
    for _ in range(LOOKS_AT_MOST):
        work = world.processor._journals._work
        if work is not None:
            work.result()
        if [row["state"] for row in world.rows(select(schema.erasures.c.state))] == ["done"]:
            return
        world.drain()
        world.now += LOOK_MS
    raise AssertionError("the erasure does not end")


def test_who_is_erased_while_it_reads_makes_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.shop()
    world.promoters()
    world.click("alice")
    world.order("o-1")
    world.drain()
    looks = []

    def erased_meanwhile(connection: Connection, root: str) -> BookedLog:
        log = log_of(connection, root)
        looks.append(log)
        if len(looks) == 1:
            erase(world)
        return log

    monkeypatch.setattr(verify, "log_of", erased_meanwhile)
    report = verify.verify(world.data)
    assert report.fault is None, report.text()
    assert len(looks) == 2, "its reading was of before, the journal of after"
    world.stop()
