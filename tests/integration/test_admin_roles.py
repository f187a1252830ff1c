"""Every route and every role: what each may, beside what the table here says. A route without a line fails."""

from admin_support import FIRST_TOKEN, Admin

from tuike.admin.app import ROUTES
from tuike.admin.routes import Route

TABLE = """
GET    /healthz                          everyone
GET    /readyz                           everyone
GET    /metrics                          everyone
GET    /v1/openapi.json                  everyone
GET    /v1/docs                          everyone
POST   /v1/merchants                     admin
GET    /v1/merchants                     admin finance viewer merchant
GET    /v1/merchants/{id}                admin finance viewer merchant
PATCH  /v1/merchants/{id}                admin
POST   /v1/merchants/{id}/secret         admin
POST   /v1/merchants/{id}/token          admin
POST   /v1/products                      admin
GET    /v1/products                      admin finance viewer merchant promoter
GET    /v1/products/{id}                 admin finance viewer merchant promoter
PATCH  /v1/products/{id}                 admin
GET    /v1/products/{id}/template        admin finance viewer merchant promoter
PUT    /v1/products/{id}/template        admin
GET    /v1/merchants/{id}/template       admin finance viewer merchant
PUT    /v1/merchants/{id}/template       admin
GET    /v1/template                      admin finance viewer
PUT    /v1/template                      admin
POST   /v1/promoters                     admin
GET    /v1/promoters                     admin finance viewer promoter
GET    /v1/promoters/{id}                admin finance viewer promoter
PATCH  /v1/promoters/{id}                admin
PUT    /v1/promoters/{id}/parent         admin
POST   /v1/promoters/{id}/bind           admin
GET    /v1/promoters/{id}/chain          admin finance viewer
GET    /v1/promoters/{id}/team           admin finance viewer promoter
GET    /v1/promoters/{id}/risk           admin finance viewer
GET    /v1/contests                      admin finance viewer promoter
GET    /v1/contests/{id}                 admin finance viewer promoter
POST   /v1/contests                      admin finance
POST   /v1/contests/{id}/close           admin finance
GET    /v1/promoters/{id}/balance        admin finance viewer promoter
GET    /v1/promoters/{id}/statements     admin finance viewer promoter
POST   /v1/links                         admin promoter
GET    /v1/links                         admin finance viewer promoter
GET    /v1/links/{code}                  admin finance viewer promoter
PATCH  /v1/links/{code}                  admin promoter
GET    /v1/conversions                   admin finance viewer merchant promoter
GET    /v1/conversions/{id}              admin finance viewer merchant promoter
GET    /v1/conversions/{id}/why          admin finance viewer merchant promoter
POST   /v1/conversions/{id}/approve      admin finance
POST   /v1/conversions/{id}/reject       admin finance
POST   /v1/conversions/{id}/refund       admin finance
GET    /v1/clicks/{click_id}             admin finance viewer merchant promoter
GET    /v1/events/{event_id}             admin finance viewer merchant promoter
GET    /v1/reports/summary               admin finance viewer merchant promoter
GET    /v1/reports/withheld              admin finance viewer
POST   /v1/settlements                   admin finance
GET    /v1/settlements                   admin finance viewer
GET    /v1/settlements/{id}              admin finance viewer
PATCH  /v1/settlements/{id}              admin finance
POST   /v1/payouts                       admin finance
GET    /v1/payouts                       admin finance viewer promoter
GET    /v1/payouts/export                admin finance viewer promoter
GET    /v1/payouts/{id}                  admin finance viewer promoter
PATCH  /v1/payouts/{id}                  admin finance
POST   /v1/payouts/{id}/paid             admin finance
POST   /v1/payouts/{id}/failed           admin finance
POST   /v1/rules/preview                 admin finance
GET    /v1/ledger/transfers              admin finance viewer
GET    /v1/ledger/accounts               admin finance viewer
GET    /v1/ledger/accounts/{id}          admin finance viewer merchant promoter
GET    /v1/ledger/roots                  admin finance viewer merchant promoter
POST   /v1/ledger/fund                   admin finance
POST   /v1/ledger/prize                  admin finance
POST   /v1/ledger/adjust                 admin finance
POST   /v1/ledger/write_off              admin finance
POST   /v1/ledger/remit                  admin finance
GET    /v1/fraud/flags                   admin finance viewer merchant
GET    /v1/fraud/flags/{id}              admin finance viewer merchant
POST   /v1/fraud/flags/{id}/clear        admin finance
POST   /v1/fraud/flags/{id}/confirm      admin finance
PUT    /v1/fraud/networks/{id}           admin
GET    /v1/fraud/networks                admin finance viewer
POST   /v1/tokens                        admin
GET    /v1/tokens                        admin
DELETE /v1/tokens/{id}                   admin
GET    /v1/audit                         admin finance viewer
GET    /                                everyone
GET    /assets/{name}                   everyone
POST   /v1/session                      everyone
GET    /v1/session                      everyone
DELETE /v1/session                      everyone
POST   /v1/applications                 everyone
GET    /v1/applications/{id}/status     everyone
GET    /v1/live                         admin finance viewer
GET    /v1/promoters/{id}/tiers         admin finance viewer promoter
POST   /v1/invites                      admin
GET    /v1/invites                      admin finance viewer
GET    /v1/applications                 admin finance viewer
POST   /v1/applications/{id}/approve    admin
POST   /v1/applications/{id}/reject     admin
GET    /v1/reports/trend                admin finance viewer merchant promoter
GET    /v1/reports/levels               admin finance viewer
GET    /v1/reports/team/{id}            admin finance viewer promoter
GET    /v1/reports/leaderboard          admin finance viewer merchant promoter
GET    /v1/reports/anomalies            admin finance viewer merchant promoter
GET    /v1/reports/cohorts              admin finance viewer merchant promoter
GET    /v1/visitors/{id}/export         admin
DELETE /v1/visitors/{id}                admin
GET    /v1/erasures                     admin finance viewer
GET    /v1/erasures/{id}                admin finance viewer
GET    /v1/retention                    admin finance viewer
GET    /v1/exports/conversions          admin finance viewer merchant promoter
GET    /v1/exports/credits              admin finance viewer merchant promoter
GET    /v1/exports/transfers            admin finance viewer
GET    /v1/exports/payouts              admin finance viewer promoter
GET    /v1/exports/promoters            admin finance viewer promoter
GET    /v1/exports/links                admin finance viewer promoter
GET    /v1/exports/trend                admin finance viewer merchant promoter
GET    /v1/exports/levels               admin finance viewer
GET    /v1/exports/leaderboard          admin finance viewer merchant promoter
GET    /v1/exports/cohorts              admin finance viewer merchant promoter
GET    /v1/clicks                       admin finance viewer merchant promoter
GET    /v1/postbacks/refused            admin finance viewer merchant
POST   /v1/postbacks/refused/{id}/replay admin finance
DELETE /v1/postbacks/refused/{id}       admin finance
POST   /v1/webhooks                     admin
GET    /v1/webhooks                     admin
GET    /v1/webhooks/{id}                admin
PATCH  /v1/webhooks/{id}                admin
DELETE /v1/webhooks/{id}                admin
GET    /v1/webhooks/{id}/deliveries     admin
POST   /v1/webhooks/{id}/deliveries/{delivery}/replay admin
"""
ROLES = ("admin", "finance", "viewer", "merchant", "promoter")
NO_TOKENS = {"none": None, "empty": "", "wrong": "tk_" + "0" * 64, "cut": FIRST_TOKEN[:-1], "long": "x" * 5_000}
# what a scoped role is told of a route that is not its own: that there is none
NOT_THERE = "no such resource, or none that this token may see"


def table() -> dict[tuple[str, str], frozenset[str]]:
    rows = (line.split() for line in TABLE.strip().splitlines())
    return {(method, path): frozenset(who) for method, path, *who in rows}


def filled(route: Route) -> str:
    """The route's path with ids that nobody has."""
    return route.path.replace("{", "no-such-").replace("}", "")


def test_each_route_has_its_line_and_each_line_its_route() -> None:
    declared = {(route.method, route.path): route.roles or frozenset({"everyone"}) for route in ROUTES}
    lines = {f"{method:6} {path:32} {' '.join(sorted(who))}" for (method, path), who in declared.items()}
    wanted = {f"{method:6} {path:32} {' '.join(sorted(who))}" for (method, path), who in table().items()}
    assert not lines ^ wanted, "\n".join(sorted(lines ^ wanted))


async def test_each_role_gets_what_the_table_says_and_nothing_more(admin: Admin) -> None:
    await admin.shop()
    subjects = {"merchant": "merchant:shop", "promoter": "promoter:ann"}
    tokens = {role: await admin.token(subjects.get(role, role)) for role in ROLES}
    for route in ROUTES:
        allowed = table()[route.method, route.path]
        if "everyone" in allowed:
            continue
        for role in ROLES:
            # a body that is none is refused after the role is judged: nothing is done
            raw = None if route.method == "GET" else b"["
            status, problem = await admin.call(route.method, filled(route), token=tokens[role], raw=raw)
            where = f"{role}: {route.method} {route.path}: {status} {problem}"
            if role in allowed:
                assert status not in (401, 403) and problem.get("detail") != NOT_THERE, where
            elif role in subjects:
                assert (status, problem["code"], problem["detail"]) == (404, "not_found", NOT_THERE), where
            else:
                assert (status, problem["code"]) == (403, "forbidden"), where


async def test_without_a_token_that_stands_every_route_is_401(admin: Admin) -> None:
    for route in ROUTES:
        if "everyone" in table()[route.method, route.path]:
            continue
        for what, token in NO_TOKENS.items():
            status, problem = await admin.call(route.method, filled(route), token=token)
            assert (status, problem["code"]) == (401, "unauthorized"), f"{what}: {route.method} {route.path}"


async def test_what_everyone_may_read_says_nothing_of_the_instance(admin: Admin) -> None:
    await admin.shop()
    for (method, path), who in table().items():
        if "everyone" in who and method == "GET" and "{" not in path:
            # of a session that there is not, and of an edge that could record a hit: there is none
            status, text = await admin.text(path)
            assert status in (200, 401, 503), path
            assert "Shop" not in text and "promoter:ann" not in text, path
