"""Who asks: bearer tokens, their roles, and what each role may see.

admin       everything            finance   reads all, decides on money       viewer   reads all
merchant    that merchant alone   promoter  that promoter and the team's totals alone
"""

import hashlib
import hmac
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select

from tuike.admin.problems import Problem, not_found
from tuike.stores.schema import tokens

PREFIX = "tk_"  # of tokens: what a scanner for leaked secrets can look for

ADMIN = frozenset({"admin"})
MONEY = ADMIN | {"finance"}
READERS = MONEY | {"viewer"}
MERCHANT = frozenset({"merchant"})
PROMOTER = frozenset({"promoter"})
# They are told that there is nothing, not that it is forbidden: what exists is not theirs to know.
SCOPED = MERCHANT | PROMOTER


@dataclass(frozen=True, slots=True)
class Actor:
    """Whose call it is. `name` stands in the audit log; `subject` is the id of a scoped role."""

    name: str
    role: str
    subject: str = ""

    def merchant_only(self) -> str:
        """The one merchant this actor sees; empty: all of them."""
        return self.subject if self.role == "merchant" else ""

    def promoter_only(self) -> str:
        """The one promoter this actor sees; empty: all of them."""
        return self.subject if self.role == "promoter" else ""


FIRST = "first"
FIRST_ACTOR = Actor("admin", "admin")


def check_role(actor: Actor, roles: frozenset[str]) -> None:
    if actor.role in roles:
        return
    if actor.role in SCOPED:
        raise not_found("such resource")
    raise Problem("forbidden", f"role {actor.role} may not; it takes {' or '.join(sorted(roles - SCOPED))}")


def check_subject(only: str, id: str, what: str) -> None:
    """`only` is what a scoped actor sees; empty: no restriction."""
    if only and only != id:
        raise not_found(f"{what} {id}")


def narrow(only: str, asked: str, what: str) -> str:
    """The filter of a list: what was asked for, within what a scoped actor sees."""
    if asked:
        check_subject(only, asked, what)
    return asked or only


def token_hash(token: str) -> str:
    """What is stored of a token. They carry 256 random bits, so a plain digest cannot be searched."""
    # a header's bytes that are no UTF-8 are a token that nobody has
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem("unauthorized", "send `Authorization: Bearer TOKEN`")
    return token.strip()


def is_first_token(token: str, first_hash: str) -> bool:
    """Whether it is the built-in admin's, of DATA/admin.token or TUIKE_ADMIN_TOKEN."""
    return hmac.compare_digest(token_hash(token), first_hash)


@dataclass(frozen=True, slots=True)
class Known:
    """A token that holds: whose it is, its id (`FIRST`: the built-in admin's), its digest, its end in milliseconds."""

    actor: Actor
    id: str
    hash: str
    expires: int | None


def find_by_hash(connection: Connection, hash: str, now: int) -> Known:
    """The stored token with this digest. `now` in milliseconds."""
    return _known(connection, tokens.c.hash == hash, now)


def find_by_id(connection: Connection, id: str, now: int) -> Known:
    return _known(connection, tokens.c.id == id, now)


def _known(connection: Connection, which: ColumnElement[bool], now: int) -> Known:
    row = connection.execute(select(tokens).where(which)).one_or_none()
    if row is None:
        raise Problem("unauthorized", "no such token")
    if row.revoked:
        raise Problem("token_revoked", "this token was revoked")
    if row.expires is not None and row.expires <= now:
        raise Problem("token_expired", "this token has expired")
    return Known(Actor(f"token:{row.id}", row.role, row.subject), row.id, row.hash, row.expires)
