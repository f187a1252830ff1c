"""POST /v1/ledger/…: decisions that move money by themselves. Each has its reason, in the audit log."""

from tuike.admin import auth, money_answers, money_inputs
from tuike.admin.routes import Route, writes

ROUTES = (
    Route(
        "POST",
        "/v1/ledger/fund",
        writes("decision", "ledger.fund"),
        "A merchant's payment in",
        auth.MONEY,
        body=money_inputs.FundBody,
        answer=money_answers.Moved,
        status=201,
    ),
    Route(
        "POST",
        "/v1/ledger/prize",
        writes("decision", "ledger.prize"),
        "A prize for a promoter, out of the platform's revenue",
        auth.MONEY,
        body=money_inputs.PrizeBody,
        answer=money_answers.Moved,
        status=201,
    ),
    Route(
        "POST",
        "/v1/ledger/adjust",
        writes("decision", "ledger.adjust"),
        "A correction from one account to another",
        auth.MONEY,
        body=money_inputs.AdjustBody,
        answer=money_answers.Moved,
        status=201,
    ),
    Route(
        "POST",
        "/v1/ledger/write_off",
        writes("decision", "ledger.write_off"),
        "What a promoter owes becomes the platform's loss",
        auth.MONEY,
        body=money_inputs.WriteOffBody,
        answer=money_answers.Moved,
        status=201,
    ),
    Route(
        "POST",
        "/v1/ledger/remit",
        writes("decision", "ledger.remit"),
        "Hand over the tax withheld from a month's paid payouts, and close the month",
        auth.MONEY,
        body=money_inputs.RemitBody,
        answer=money_answers.Remitted,
        status=201,
    ),
)
