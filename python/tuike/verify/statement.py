"""A signed statement, checked by itself: nothing of the instance is needed (docs/PROOFS.md has the format)."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from tuike import _core
from tuike.books.records import conversion_id
from tuike.faults import Fault, Found, Report
from tuike.statements import FORMAT, canonical, leaf

CONVERSION = re.compile("[0-9a-f]{32}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Account(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    currency: str
    opening: str
    closing: str


class Day(msgspec.Struct, forbid_unknown_fields=True):
    day: str
    first: int
    last: int
    leaves: int
    root: str


class Line(msgspec.Struct, forbid_unknown_fields=True):
    transfer: int
    position: int
    account: str
    currency: str
    amount: str
    kind: str
    at: str
    id: str
    conversion: str | None
    merchant: str | None
    order_id: str | None
    product: str | None
    day: str
    index: int
    salt: str
    proof: list[str]


class Statement(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    promoter: str
    month: str
    first: int
    last: int
    currencies: list[str]
    accounts: list[Account]
    lines: list[Line]
    days: list[Day]
    key: str
    signature: str


class NotAStatement(Exception):
    """The file cannot be read as a statement; the message says why."""


def verify_file(path: Path, key: str | None) -> Report:
    """Checks the statement in a file, or each of an answer of the API with several, and that they follow each other.
    `key` is the public key (hex) that has to have signed. Raises NotAStatement."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise NotAStatement(f"{path}: no JSON: {error}") from error
    documents = document["items"] if isinstance(document, dict) and "items" in document else [document]
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents) or not documents:
        raise NotAStatement(f"{path}: there is no statement in it")
    report = Report()
    before: Statement | None = None
    for one in documents:
        try:
            statement = msgspec.convert(one, Statement)
        except msgspec.ValidationError as error:
            raise NotAStatement(f"{path}: no statement: {error}") from error
        name = f"statement of {statement.promoter} {statement.month}, transfers {statement.first} to {statement.last}"
        try:
            report.proved.append(f"{name}: {check(one, statement, key)}")
            if before is not None:
                _check_following(before, statement)
        except Found as found:
            report.fault = Fault(name, found.place, found.detail)
            break
        before = statement
    return report


def check(document: Mapping[str, Any], statement: Statement, key: str | None) -> str:
    """Raises Found where something does not hold."""
    if statement.format != FORMAT:
        raise Found("format", f"{statement.format!r} is not {FORMAT!r}")
    if key is not None and statement.key != key.lower():
        raise Found("key", f"it is signed with {statement.key}")
    signature, public = _hex("signature", statement.signature), _hex("key", statement.key)
    if not _core.ed25519_verify(public, canonical(dict(document)), signature):
        raise Found("signature", "it is not the key's signature of this statement")
    days = _check_days(statement)
    for line in statement.lines:
        _check_line(line, days, statement)
    _check_places(statement)
    _check_sums(statement)
    return f"{len(statement.lines)} lines in {len(days)} days, signed with {statement.key}"


def _check_days(statement: Statement) -> dict[str, Day]:
    days: dict[str, Day] = {}
    before: Day | None = None
    for day in statement.days:
        if not day.day.startswith(f"{statement.month}-"):
            raise Found(f"day {day.day}", f"it is not in {statement.month}")
        if before is not None and (day.day <= before.day or day.first != before.last + 1):
            raise Found(f"day {day.day}", "it does not follow the day before")
        days[day.day] = before = day
    if statement.first > statement.last or not statement.days:
        raise Found("days", "it covers no transfers")
    if statement.days[0].first > statement.first or statement.days[-1].last < statement.last:
        raise Found("days", "they are not those of the transfers that it covers")
    return days


def _check_line(line: Line, days: Mapping[str, Day], statement: Statement) -> None:
    place = f"transfer {line.transfer} entry {line.position}"
    day = days.get(line.day)
    if day is None or not day.first <= line.transfer <= day.last:
        raise Found(place, f"it is not of the day {line.day}")
    if not statement.first <= line.transfer <= statement.last:
        raise Found(place, f"the statement is of transfers {statement.first} to {statement.last}")
    if not line.account.startswith(f"promoter:{statement.promoter}:"):
        raise Found(place, f"{line.account} is not an account of {statement.promoter}")
    _check_order(place, line)
    whole = leaf(msgspec.structs.asdict(line), _minor(place, line.amount, line.currency), _instant(place, line.at))
    proof = [_hex(place, hash) for hash in line.proof]
    if not _core.merkle_verify(whole, line.index, day.leaves, proof, _hex(f"day {day.day}", day.root)):
        raise Found(place, f"the proof does not lead from it to the root of {day.day}")


def _check_order(place: str, line: Line) -> None:
    """A transfer's id begins with its order's, which is a hash of what the order is."""
    order = line.id.partition(":")[0]
    about = (line.merchant, line.order_id, line.product)
    if CONVERSION.fullmatch(order) is None:
        if any(name is not None for name in (line.conversion, *about)):
            raise Found(place, f"{line.id} is no transfer of an order")
    elif line.conversion != order or None in about or order != conversion_id(*[name or "" for name in about]):
        raise Found(place, f"{line.id} is no transfer of order {line.order_id}")


def _check_places(statement: Statement) -> None:
    places = [(line.transfer, line.position) for line in statement.lines]
    for before, place in pairwise(places):
        if place <= before:
            raise Found(f"transfer {place[0]} entry {place[1]}", "it is there twice, or out of order")


def _check_sums(statement: Statement) -> None:
    sums: dict[tuple[str, str], int] = {}
    for line in statement.lines:
        key = line.account, line.currency
        sums[key] = sums.get(key, 0) + _minor("lines", line.amount, line.currency)
    named: set[tuple[str, str]] = set()
    for account in statement.accounts:
        place = f"account {account.account} {account.currency}"
        if (account.account, account.currency) in named:
            raise Found(place, "it is there twice")
        named.add((account.account, account.currency))
        opening, closing = (_minor(place, text, account.currency) for text in (account.opening, account.closing))
        moved = sums.pop((account.account, account.currency), 0)
        if opening + moved != closing:
            raise Found(place, f"{account.opening} and its lines do not come to {account.closing}")
    for name, currency in sums:
        raise Found(f"account {name} {currency}", "its balances are missing")
    if statement.currencies != sorted({account.currency for account in statement.accounts}):
        raise Found("currencies", "they are not those of the accounts")


def _check_following(before: Statement, after: Statement) -> None:
    """The next statement of the same promoter begins where this one ended."""
    if after.promoter != before.promoter:
        return
    if after.first <= before.last:
        raise Found("first", f"the statement before it ends with transfer {before.last}")
    stood = {(account.account, account.currency): account.closing for account in before.accounts}
    for account in after.accounts:
        closing = stood.pop((account.account, account.currency), None)
        opens = _minor("accounts", account.opening, account.currency)
        if opens != (0 if closing is None else _minor("accounts", closing, account.currency)):
            raise Found(f"account {account.account} {account.currency}", "it does not open as it closed before")
    for name, currency in stood:
        raise Found(f"account {name} {currency}", "its balances are missing")


def _minor(place: str, text: str, currency: str) -> int:
    try:
        return -_core.parse_amount(text[1:], currency) if text.startswith("-") else _core.parse_amount(text, currency)
    except ValueError as error:
        raise Found(place, f"{text!r} is no amount in {currency!r}") from error


def _instant(place: str, text: str) -> int:
    try:
        return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError) as error:
        raise Found(place, f"{text!r} is no instant") from error


def _hex(place: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Found(place, f"{text!r} is not in hex") from error
