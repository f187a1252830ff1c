"""Integration tests run on uvloop, as the services do, and the service is as patient there as the tests are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from admin_support import Admin, serving

from waiting import PATIENCE


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine gets no answer that says that something was late. A test of such an answer sets its own."""
    for limit in (
        "tuike.admin.app.PROCESSOR_SECONDS",
        "tuike.admin.writes.OUTCOME_SECONDS",
        "tuike.admin.writes.EDGES_SECONDS",
        "tuike.edge.routes.BODY_TIMEOUT",
        "tuike.edge.routes.SYNC_TIMEOUT",
    ):
        monkeypatch.setattr(limit, PATIENCE)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    """The admin API of an empty instance, with its processor."""
    async with serving(tmp_path / "data") as admin:
        yield admin
