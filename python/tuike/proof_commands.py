"""`tuike verify` and `replay`: thin, as those of `cli`."""

import sys
from pathlib import Path
from typing import Any

import click

from tuike.config import option
from tuike.data import Data
from tuike.options import READABLE, with_books, with_data, with_database, with_levels
from tuike.terminal import FAULT, progress, stop

MODELS = ("first", "last", "linear", "time_decay", "position")


@click.command()
@with_data
@with_database
@with_levels
@option("--attribution", is_flag=True, help="Decide every order again from the hits; list which came late.")
@option("--reports", is_flag=True, help="Make the reports' sums again from the journal and the orders.")
@option("--statement", type=READABLE, metavar="FILE", help="Check a signed statement; needs no data directory.")
@option("--key", metavar="HEX", help="The public key that must have signed the statement.")
def verify(
    data: Path,
    database: Any,
    max_levels: int,
    attribution: bool,
    reports: bool,
    statement: Path | None,
    key: str | None,
) -> None:
    """Prove that the books are whole and add up.

    Every accepted hit is accounted for, every transfer balances, the hash chain is unbroken, every split and refund
    is what the rules make of it; otherwise the first fault is named, and the exit code is 1.
    """
    from tuike.process import collect_rarely
    from tuike.replay.attribution import attribution as decide_again
    from tuike.verify import verify
    from tuike.verify.reports import verify_reports
    from tuike.verify.statement import NotAStatement, verify_file

    if key is not None and statement is None:
        raise click.UsageError("--key goes with --statement")
    collect_rarely()
    if statement is not None:
        try:
            report = verify_file(statement, key)
        except NotAStatement as error:
            stop(str(error))
    elif attribution:
        with progress("deciding again") as told:
            report = decide_again(Data.open(data, database), max_levels, told)
    elif reports:
        report = verify_reports(Data.open(data, database))
    else:
        report = verify(Data.open(data, database))
    click.echo(report.text())
    sys.exit(FAULT if report.fault else 0)


@click.command()
@with_data
@with_database
@with_books
@option("--rule", type=READABLE, metavar="FILE", help="A commission rule (JSON): what would it have paid?")
@option("--model", type=click.Choice(MODELS), help="An attribution model: what would it have paid?")
@option("--fraud", type=READABLE, metavar="FILE", help="Fraud rules (JSON): which orders would they have flagged?")
@option("--product", metavar="ID", help="The rules or model in place of this product's alone; of all by default.")
def replay(
    data: Path,
    database: Any,
    rule: Path | None,
    model: str | None,
    fraud: Path | None,
    product: str | None,
    max_levels: int,
    payout_minimum: Any,
) -> None:
    """Build everything anew from the journal, and compare.

    All that the books hold is made again in a temporary database; the first difference is named, and the exit code is
    1. With --rule or --model instead: what promoters would have been paid under it, beside what they were; with --fraud
    which orders would have been flagged, beside those that were. Either way nothing is changed, and the instance may
    be running.
    """
    from tuike.faults import Found
    from tuike.process import collect_rarely
    from tuike.replay import replay
    from tuike.replay.what_if import CannotBe, Change, flagged_if, what_if

    if product is not None and rule is None and model is None and fraud is None:
        raise click.UsageError("--product goes with --rule, --model or --fraud")
    if fraud is not None and (rule is not None or model is not None):
        raise click.UsageError("--fraud goes without --rule and --model")
    collect_rarely()
    with progress("replaying") as told:
        if rule is None and model is None and fraud is None:
            report = replay(Data.open(data, database), max_levels, told)
            text, fault = report.text(), report.fault is not None
        else:
            try:
                change = Change.of_files(rule, model, product, fraud)
                compare = what_if if fraud is None else flagged_if
                text, fault = compare(Data.open(data, database), change, max_levels, payout_minimum, told).text(), False
            except CannotBe as error:
                stop(str(error))
            except Found as found:
                stop(str(found), FAULT)
    click.echo(text)
    sys.exit(FAULT if fault else 0)


PROOFS = (verify, replay)
