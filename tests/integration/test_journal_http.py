"""A machine's journal by HTTP: for those who know the secret, as far as its writers' marks."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from aiohttp import ClientResponse, ClientSession
from edge_support import SECRET, make_data, serving

from tuike import _core
from tuike.data import Data
from tuike.journal_http import Asked, Taken, token
from waiting import eventually

HITS = 30


@pytest.fixture
def data(tmp_path: Path) -> Data:
    data = Data.open(tmp_path / "edge", create=True, environment={"TUIKE_SECRET": SECRET})
    make_data(data.root)
    return data


@pytest_asyncio.fixture
async def edge(data: Data) -> AsyncIterator[ClientSession]:
    async with (
        serving(data.root, journal=data, durability="process") as (_, port),
        ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        for code in range(HITS):
            async with session.get(f"/c/{code}", allow_redirects=False) as answer:
                assert answer.status == 302
        yield session


MEMBER = {"Authorization": f"Bearer {token(SECRET)}"}


async def taken(answer: ClientResponse) -> Taken:
    assert answer.status == 200, await answer.text()
    return msgspec.msgpack.decode(await answer.read(), type=Taken)


async def ask(edge: ClientSession, asked: Asked) -> Taken:
    async with edge.post("/journal", data=msgspec.msgpack.encode(asked), headers=MEMBER) as answer:
        return await taken(answer)


async def the_incarnation(edge: ClientSession, data: Data) -> str:
    async with edge.get("/journal", headers=MEMBER) as answer:
        listed = await answer.json()
    assert listed["machine"] == data.machine
    (found,) = listed["incarnations"]
    assert (found["producer"], found["live"]) == ("edge-0", True)
    text: str = found["incarnation"]
    return text


async def test_records_above_a_number_are_fetched_up_to_the_writers_mark(edge: ClientSession, data: Data) -> None:
    incarnation = await the_incarnation(edge, data)

    async def fetched(query: str) -> Taken:
        async with edge.get(f"/journal/{incarnation}?{query}", headers=MEMBER) as answer:
            return await taken(answer)

    async def all_there() -> bool:
        return (await fetched("after=0")).count == HITS

    await eventually(all_there, "all hits behind the mark")
    whole = await fetched("after=0")
    assert whole.heard[0][:3] == ("edge-0", int(incarnation, 16), HITS)
    entries = [("edge-0", number, 0, bytes(data)) for number, _, data in whole.packed]
    assert _core.Batch.of_entries(entries).hit_counts() == {int(incarnation, 16): {"counted": HITS}}
    assert (await fetched("after=20")).count == HITS - 20
    some = await fetched("after=5&limit=10")
    assert (some.count, some.more, some.heard[0][2]) == (10, True, 15)


async def test_what_all_incarnations_have_is_taken_from_where_the_reader_is(edge: ClientSession, data: Data) -> None:
    incarnation = int(await the_incarnation(edge, data), 16)

    async def promised() -> bool:
        found = await ask(edge, Asked({incarnation: HITS - 1}, reader="folder"))
        return found.count == 1 and found.heard[0][3] > 0

    await eventually(promised, "a promise behind the last hit")
    nothing = await ask(edge, Asked({incarnation: HITS}, reader="folder"))
    assert (nothing.count, nothing.packed, nothing.heard[0][2]) == (0, [], HITS)
    assert (await ask(edge, Asked({incarnation: _core.Shipment.GONE}))).heard == []


@pytest.mark.parametrize("path", ["/journal", "/journal/0000000000000001?after=0"])
async def test_who_does_not_know_the_secret_finds_nothing(edge: ClientSession, path: str) -> None:
    answers = []
    for headers in ({}, {"Authorization": "Bearer " + "0" * 64}, {"Authorization": f"Bearer {token('00' * 32)}"}):
        async with edge.get(path, headers=headers) as answer:
            answers.append((answer.status, await answer.read()))
    async with edge.get("/nothing/there", headers={}) as answer:
        assert set(answers) == {(answer.status, await answer.read())}
    assert answers[0][0] == 404


async def test_what_cannot_be_understood_is_said(edge: ClientSession, data: Data) -> None:
    async with edge.get("/journal/xyz?after=0", headers=MEMBER) as answer:
        assert answer.status == 400
    async with edge.get("/journal/00000000000000ff?after=0", headers=MEMBER) as answer:
        assert answer.status == 404
    async with edge.post("/journal", data=b"\xc1", headers=MEMBER) as answer:
        assert answer.status == 400
