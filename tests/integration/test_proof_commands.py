"""Proofs as people ask for them: the API's statements and roots, the commands, and the page that says how by hand."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from admin_support import Admin, serving

from instance import tuike
from proof_kit import World, full
from tuike import statements
from waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "PROOFS.md"
OF_ALICE = "/v1/promoters/alice/statements"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return full(tmp_path_factory.mktemp("full"))


async def closed(admin: Admin) -> Any:
    """The roots, once both days of the world are closed: they are long over."""

    async def both() -> bool:
        return len((await admin.get("/v1/ledger/roots"))["items"]) == 2

    await eventually(both, "both days to be closed")
    return await admin.get("/v1/ledger/roots")


async def test_statements_and_roots_agree_and_are_proved_without_the_instance(world: World, tmp_path: Path) -> None:
    async with serving(world.data.root) as admin:
        roots = await closed(admin)
        page = await admin.get(OF_ALICE)
        month = await admin.get(f"{OF_ALICE}?month=2025-10")
    assert [item["month"] for item in page["items"]] == ["2025-10", "2025-11"]
    assert month["items"] == page["items"][:1]
    assert [day for item in page["items"] for day in item["days"]] == roots["items"]
    assert {item["key"] for item in page["items"]} == {roots["key"]}
    file = tmp_path / "page.json"
    file.write_text(json.dumps(page))
    done = tuike("verify", "--statement", file, "--key", roots["key"])
    assert done.stdout.count("ok     statement of alice") == 2
    assert tuike("verify", "--statement", file, "--key", "00" * 32, check=False).returncode == 1


async def test_pages_of_statements_go_on_where_they_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LINES_PER_STATEMENT", 4)
    async with serving(world.data.root) as admin:
        await closed(admin)
        whole = (await admin.get(f"{OF_ALICE}?limit=500"))["items"]
        found, cursor = [], ""
        while cursor is not None:
            page = await admin.get(f"{OF_ALICE}?limit=2&cursor={cursor}")
            assert 0 < len(page["items"]) <= 2
            found += page["items"]
            cursor = page["next"]
        days = await admin.get("/v1/ledger/roots?limit=1")
        assert (await admin.get(f"/v1/ledger/roots?limit=1&cursor={days['next']}"))["next"] is None
    assert found == whole
    assert len(found) > 3


async def test_statements_are_for_the_promoter_and_for_who_reads_all(world: World) -> None:
    async with serving(world.data.root) as admin:
        roles = {"finance": 200, "viewer": 200, "merchant:shop": 404, "promoter:alice": 200, "promoter:bob": 404}
        for role, answer in roles.items():
            token = await admin.token(role)
            got = [(await admin.call("GET", path, token=token))[0] for path in (OF_ALICE, "/v1/ledger/roots")]
            assert (role, *got) == (role, answer, 200)
        assert (await admin.call("GET", OF_ALICE, token=None))[0] == 401
        assert (await admin.call("GET", "/v1/promoters/nobody/statements"))[0] == 404
        for query in ("month=2025", "month=2025-13", "cursor=x", "year=2025"):
            assert (await admin.call("GET", f"{OF_ALICE}?{query}"))[0] == 400, query
        assert (await admin.get(f"{OF_ALICE}?month=2020-01")) == {"items": [], "next": None}


def test_the_key_is_made_once_for_its_owner_alone(world: World) -> None:
    path = world.data.root / "statement.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(world.data.statement_key()) == 32


# --- commands --------------------------------------------------------------------------------------


def test_the_commands_prove_replay_and_compare(world: World, tmp_path: Path) -> None:
    data = world.data.root
    assert "FAULT" not in tuike("verify", "--data", data).stdout
    assert "ok     no difference" in tuike("replay", "--data", data).stdout
    assert "0 would be credited otherwise" in tuike("verify", "--attribution", "--data", data).stdout
    rule = tmp_path / "rule.json"
    rule.write_text('{"type": "percentage", "value": "1"}')
    lines = tuike("replay", "--rule", rule, "--product", "tea", "--data", data).stdout.splitlines()
    assert lines[0].split("\t") == ["promoter", "level", "product", "currency", "paid", "would", "difference"]
    assert any(line.startswith("alice\t1\ttea\tCNY\t") for line in lines)
    assert tuike("replay", "--model", "last", "--data", data).stdout.startswith("promoter\t")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["verify", "--key", "00"], "--key goes with --statement"),
        (["verify", "--statement", "missing"], "missing"),
        (["replay", "--product", "tea"], "--product goes with --rule, --model or --fraud"),
        (["replay", "--model", "best"], "best"),
        (["replay", "--rule", "missing"], "missing"),
    ],
)
def test_what_is_used_wrongly_is_said_in_a_line(arguments: list[str], text: str, tmp_path: Path) -> None:
    done = tuike(*arguments, "--data", tmp_path, check=False)
    assert done.returncode == 2
    assert text in done.stderr and done.stderr.count("\n") == 1


def test_what_is_no_statement_is_said_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    done = tuike("verify", "--statement", file, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


# --- docs/PROOFS.md --------------------------------------------------------------------------------


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


async def test_the_page_says_how_to_check_a_statement_by_hand(world: World, tmp_path: Path) -> None:
    async with serving(world.data.root) as admin:
        await closed(admin)
        items = (await admin.get(OF_ALICE))["items"]
    blocks = dict(re.findall(r"```(bash|python)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for item in items:
        (tmp_path / "statement.json").write_text(json.dumps(item))
        done = await asyncio.to_thread(run, tmp_path, sys.executable, "-c", blocks["python"])
        assert done.stdout == f"{len(item['lines'])} lines proved\n", done.stderr
        if all(shutil.which(program) for program in ("jq", "openssl", "xxd")):
            done = await asyncio.to_thread(run, tmp_path, "bash", "-e", "-c", blocks["bash"])
            assert done.returncode == 0, done.stderr
