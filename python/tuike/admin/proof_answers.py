"""What is answered to prove the books to others, for openapi.json. The format is in docs/PROOFS.md."""

from tuike.admin.answers import Answer, Next


class LedgerDay(Answer):
    """A closed day of the ledger: its transfers `first` to `last`, how many entries these have, and the root of the
    tree over them (RFC 9162), in hex."""

    day: str
    first: int
    last: int
    leaves: int
    root: str


class Roots(Answer):
    """`key` is the public key (Ed25519, in hex) that signs statements."""

    items: list[LedgerDay]
    next: Next
    key: str


class StatementAccount(Answer):
    account: str
    currency: str
    opening: str
    closing: str


class StatementLine(Answer):
    """An entry, its place in its day's tree, the salt of its leaf, and the hashes on the way to the root."""

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


class Statement(Answer):
    """Of transfers `first` to `last`, in closed days of one month. `signature` (Ed25519, RFC 8032) is over all the rest
    as RFC 8785 writes it."""

    format: str
    promoter: str
    month: str
    first: int
    last: int
    currencies: list[str]
    accounts: list[StatementAccount]
    lines: list[StatementLine]
    days: list[LedgerDay]
    key: str
    signature: str


class Statements(Answer):
    """The oldest first. One has at most 1,000 lines, and so has a page: of a month with more there are several, each
    going on where the one before it ended."""

    items: list[Statement]
    next: Next
