"""Published results of splits, rounding, taxes and time decay through the API of a real service: rules, promoters and
orders go in as an operator's do, shares and taxes come out. (Ten thousand journeys: tests/e2e/test_paths.py.)"""

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from instance import Instance, running, tuike
from tuike.books.records import conversion_id

DAY = 86_400
END = 1_760_000_000
"""The instant of all orders, in seconds."""
OF_AMOUNT = 10
"""Percent of the amount that a split rule pays at most: below the platform's ceiling."""
CHAIN = ("three", "two", "one")
"""Each below the one before."""
LEVELS = len(CHAIN)
TOUCHED = [f"p{n}" for n in range(6)]
HALF = {"type": "percentage", "value": "50"}
NAMED_AS = {"first": "first", "last": "last", "linear": "linear", "position": "position_40_20_40"}
"""Models as the published examples have them."""

Json = dict[str, Any]


class Published:
    """The vectors, each an order of a product of its own, and what the API says that it pays."""

    def __init__(self, instance: Instance, vectors: Path, folder: Path) -> None:
        self._instance, self._folder = instance, folder
        money = json.loads((vectors / "money/allocation_vectors.json").read_text())
        self.splits: list[Json] = money["allocate"]
        self.rounded: list[Json] = [one for one in money["round_half_even"] if Fraction(one["value"]) >= 0]
        self.taxes: list[Json] = json.loads((vectors / "money/tax_vectors.json").read_text())["published"]
        self.decays: list[Json] = json.loads((vectors / "attribution/time_decay_vectors.json").read_text())["vectors"]
        self._clicks: list[tuple[object, ...]] = [("time", "aff", "pid", "visitor")]
        self._orders: list[tuple[object, ...]] = [("time", "pid", "order_id", "amount", "currency", "visitor", "aff")]

    def enter(self) -> None:
        """Everything, by the API and by imports; then all orders are released."""
        instance = self._instance
        instance.merchant(settlement="T+0")
        instance.merchant("yen")
        for promoter, parent in zip(CHAIN, (None, *CHAIN), strict=False):
            instance.promoter(promoter, parent)
        for promoter in TOUCHED:
            instance.promoter(promoter)
        for number, vector in enumerate(self.splits):
            self._enter_split(f"split{number}", vector)
        instance.product("round", merchant="yen", commission={"type": "percentage", "value": "10"})
        for number, vector in enumerate(self.rounded):
            self._order("round", str(int(Fraction(vector["value"]) * 10)), oid=f"o{number}", currency="JPY")
        instance.product("half", commission=HALF, hold_days=0)
        for number, vector in enumerate(self.taxes):
            instance.post("promoters", id=f"t{number}", name="T", kind="member", tax={"scheme": "cn_labour"})
            self._order("half", str(2 * vector["income"]), oid=f"o{number}", aff=f"t{number}")
        for number, vector in enumerate(self.decays):
            self._enter_decay(f"decay{number}", vector)
        self._bring("clicks", self._clicks)
        self._bring("conversions", self._orders)
        assert instance.post("settlements")["released"] == len(self.taxes)

    def _enter_split(self, product: str, vector: Json) -> None:
        """Up to three weights are levels, a fourth is the platform's; more are promoters with equal touches."""
        weights = [Fraction(str(weight)) for weight in vector["weights"]]
        if len(weights) > LEVELS + 1:
            assert len(set(weights)) == 1
            self._instance.product(
                product,
                commission={"type": "fixed", "value": f"{vector['amount'] / 100:.2f}"},
                attribution={"model": "linear", "collapse_minutes": 0},
            )
            for number, promoter in enumerate(TOUCHED[: len(weights)]):
                self._clicks.append((END - DAY + number, promoter, product, product))
            self._order(product, "100.00", visitor=product)
            return
        while sum(weights) > OF_AMOUNT:
            weights = [weight / 10 for weight in weights]
        whole = sum(weights, Fraction(0))
        levels = [{"level": n, "value": _decimal(weight)} for n, weight in enumerate(weights[:LEVELS], start=1)]
        self._instance.product(product, commission={"type": "percentage", "value": _decimal(whole), "levels": levels})
        # of which the rule's percentage rounds to the vector's amount
        self._order(product, f"{round(vector['amount'] * 100 / whole) / 100:.2f}", aff=CHAIN[-1])

    def _enter_decay(self, product: str, vector: Json) -> None:
        """One journey for each model."""
        for model in ("time_decay", *(NAMED_AS if "also_published" in vector else ())):
            name = f"{product}-{model}"
            settings: Json = {"model": model, "window_days": 60, "collapse_minutes": 0}
            if model == "time_decay":
                settings["half_life_days"] = vector["half_life_days"]
            self._instance.product(name, commission=HALF, attribution=settings)
            for promoter, age in zip(TOUCHED, vector["ages_days"], strict=False):
                self._clicks.append((END - age * DAY, promoter, name, name))
            self._order(name, str(2 * vector["amount"]), visitor=name)

    def _order(
        self, product: str, amount: str, *, oid: str = "o", currency: str = "CNY", visitor: str = "", aff: str = "one"
    ) -> None:
        self._orders.append((END, product, oid, amount, currency, visitor, "" if visitor else aff))

    def _bring(self, kind: str, rows: list[tuple[object, ...]]) -> None:
        path = self._folder / f"{kind}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        said = tuike("import", kind, path, "--data", self._instance.data).stdout
        assert f"{len(rows) - 1} rows in, 0 were in before, 0 bad" in said

    def paid(self, product: str, oid: str = "o", merchant: str = "shop") -> tuple[dict[str, Fraction], Fraction]:
        """What the promoters and the platform get of an order."""
        found = self._instance.get(f"conversions/{conversion_id(merchant, oid, product)}")
        return {x["promoter"]: Fraction(x["amount"]) for x in found["credits"]}, Fraction(found["platform"])

    def tax(self, promoter: str, income: int) -> str:
        paid = self._instance.post("payouts", promoter=promoter, currency="CNY", amount=f"{income}.00")
        return str(paid["tax"])


def _decimal(value: Fraction) -> str:
    return f"{Decimal(value.numerator) / value.denominator:.4f}"


@pytest.fixture(scope="module")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("vectors")
    with running(folder / "data", "--workers", "1") as instance:
        vectors = Published(instance, shared_data, folder)
        vectors.enter()
        yield vectors
        tuike("verify", "--data", instance.data)


def test_published_splits_come_out_of_levels_and_of_equal_touches(published: Published) -> None:
    assert len(published.splits) == 35
    for number, vector in enumerate(published.splits):
        shares, platform = published.paid(f"split{number}")
        promoters = CHAIN[::-1] if len(vector["weights"]) <= LEVELS + 1 else TOUCHED
        parts = [shares.get(promoter, Fraction(0)) for promoter in promoters]
        parts[LEVELS:LEVELS] = [platform] if promoters != TOUCHED else []
        assert [part * 100 for part in parts[: len(vector["expected"])]] == vector["expected"], vector
        assert not any(parts[len(vector["expected"]) :]), vector


def test_published_roundings_come_out_of_ten_percent_in_a_currency_without_decimals(published: Published) -> None:
    assert len(published.rounded) == 5  # an order's amount is never negative
    for number, vector in enumerate(published.rounded):
        shares, _ = published.paid("round", f"o{number}", "yen")
        assert shares == {"one": Fraction(vector["expected"])}, vector


def test_published_taxes_are_withheld_from_single_payouts(published: Published) -> None:
    assert len(published.taxes) == 5
    for number, vector in enumerate(published.taxes):
        assert published.tax(f"t{number}", vector["income"]) == f"{vector['tax']}.00", vector


def test_published_time_decay_comes_out_to_the_cent_and_the_other_models_exactly(published: Published) -> None:
    assert len(published.decays) == 2
    for number, vector in enumerate(published.decays):
        shares, _ = published.paid(f"decay{number}-time_decay")
        for promoter, exact, said in zip(TOUCHED, vector["exact"], vector["published"], strict=False):
            assert abs(shares[promoter] - Fraction(str(exact))) < Fraction(1, 100)
            assert abs(shares[promoter] - Fraction(str(said))) <= Fraction(str(vector["tolerance"]))
        for model, name in NAMED_AS.items() if "also_published" in vector else ():
            shares, _ = published.paid(f"decay{number}-{model}")
            parts = [shares.get(promoter, Fraction(0)) for promoter in TOUCHED[: len(vector["ages_days"])]]
            assert parts == vector["also_published"][name], model
