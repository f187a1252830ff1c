"""`tuike settle`, against real instances: running, stopped, killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from admin_support import order, record

from instance import Instance, running, tuike
from tuike.data import Data
from tuike.submission import Submission
from waiting import until

ORDERS = 20


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """ann has 200.00 pending, and nothing holds it up."""
    with running(tmp_path / "data", "--workers", "1") as instance:
        instance.merchant(settlement="T+0")
        instance.product(hold_days=0)
        instance.promoter("ann")
        for number in range(ORDERS):
            status, _ = instance.postback(oid=f"o{number}", pid="tea", amount="100.00", aff="ann")
            assert status == 202
        until(lambda: instance.balance("ann")["pending"] == "200.00", "the orders booked")
        yield instance


def available(instance: Instance) -> str:
    return str(instance.balance("ann")["available"])


def test_a_running_instance_settles_and_says_what_was_released(instance: Instance) -> None:
    done = tuike("settle", "--data", instance.data)
    first, second = done.stdout.splitlines()
    assert first.startswith("20 orders released as of ")
    assert second == "200.00 CNY released"
    assert "settling" in done.stderr
    assert available(instance) == "200.00"
    assert tuike("settle", "--data", instance.data).stdout.startswith("0 orders released as of ")


def test_a_stopped_instance_settles_as_well(instance: Instance) -> None:
    assert instance.stop() == 0
    assert "200.00 CNY released" in tuike("settle", "--data", instance.data).stdout
    instance.start()
    assert available(instance) == "200.00"


def test_only_what_is_due_by_then_is_released(instance: Instance) -> None:
    hour_ago = str(int(time.time()) - 3_600)
    assert tuike("settle", "--data", instance.data, "--as-of", hour_ago).stdout.startswith("0 orders released")
    later = tuike("settle", "--data", instance.data, "--as-of", "2999-01-01T00:00:00Z", check=False)
    assert (later.returncode, later.stdout) == (2, "")
    assert later.stderr.splitlines()[-1].startswith("tuike: as_of_in_future: ")
    bad = tuike("settle", "--data", instance.data, "--as-of", "tomorrow", check=False)
    assert (bad.returncode, "neither RFC 3339 nor Unix seconds" in bad.stderr) == (2, True)
    assert available(instance) == "0.00"


def test_a_least_payout_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("USD", "USD=", "XXQ=5", "USD=1.005", "=5"):
        refused = tuike("settle", "--data", tmp_path, "--payout-minimum", text, check=False)
        assert (refused.returncode, "is no least payout such as USD=50" in refused.stderr) == (2, True), text


def test_a_least_payout_reaches_the_books(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--workers", "1", "--payout-minimum", "CNY=5,USD=2.50") as instance:
        instance.merchant(settlement="T+0")
        instance.product(hold_days=0)
        instance.promoter("ann")
        instance.postback(oid="o1", pid="tea", amount="60.00", aff="ann")
        until(lambda: instance.balance("ann")["pending"] == "6.00", "the order booked")
        instance.post("settlements")
        status, problem = instance.call("POST", "payouts", {"promoter": "ann", "amount": "4.99"})
        assert (status, problem["code"]) == (422, "below_minimum")
        assert instance.call("POST", "payouts", {"promoter": "ann", "amount": "5.00"})[0] == 201


def test_a_settle_that_was_killed_is_run_again(instance: Instance, tmp_path: Path) -> None:
    assert instance.stop() == 0
    data = Data.open(instance.data)
    command = [sys.executable, "-m", "tuike", "settle", "--data", str(instance.data)]
    for number in range(3):
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until((data.journal / "settle").exists, "the settlement filed")
        time.sleep(0.1 * number)  # the moment is what differs
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    record(data, [order(oid="late", amount=1_000, aff="ann")])
    tuike("settle", "--data", instance.data)
    instance.start()
    until(lambda: available(instance) == "201.00", "all released once")
    with Submission(data, "settle") as submission:
        assert submission.refused() == []


def test_the_books_prove_themselves_after_all_that_money_does(instance: Instance) -> None:
    instance.call("PATCH", "promoters/ann", {"tax": {"scheme": "flat", "percent": "10"}})
    tuike("settle", "--data", instance.data)
    last_month = date.today().replace(day=1) - timedelta(days=1)
    failed = instance.post("payouts", promoter="ann", amount="100.00", date=last_month.isoformat())
    instance.post(f"payouts/{failed['id']}/failed")
    paid = instance.post("payouts", promoter="ann", date=last_month.isoformat())
    instance.post(f"payouts/{paid['id']}/paid", reason="bank file 7")
    instance.post("ledger/remit", month=f"{last_month:%Y-%m}", reason="tax office")
    for number in range(3):
        instance.postback(oid=f"o{number}", pid="tea", status="refunded")
    until(lambda: instance.balance("ann")["owed"] == "30.00", "the refunds booked")
    instance.post("ledger/fund", merchant="shop", amount="170.00", reason="bank")
    instance.post("ledger/prize", promoter="ann", currency="CNY", amount="10.00", reason="contest")
    instance.post("ledger/write_off", promoter="ann", currency="CNY", amount="5.00", reason="agreed")
    moved = {"from": "platform:revenue", "to": "promoter:ann:available", "currency": "CNY", "amount": "20.00"}
    instance.post("ledger/adjust", **moved, reason="typing error")
    expected = {
        "pending": "0.00",
        "available": "5.00",
        "reserved": "0.00",
        "paid": "180.00",
        "tax": "0.00",
        "owed": "0.00",
    }
    assert instance.balance("ann") == {"currency": "CNY"} | expected
    assert "FAULT" not in tuike("verify", "--data", instance.data).stdout
    assert instance.stop() == 0
    assert "no difference" in tuike("replay", "--data", instance.data).stdout
