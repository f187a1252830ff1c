"""The admin API: reads SQL, writes by journaling events and waiting for what the bookkeeper makes of them.

app.py        composes it: settings → service → routes → aiohttp application
routes.py     a route and a call: who may, what comes in, what goes out
auth.py       tokens, roles, who sees what
problems.py   every refusal's code and status (RFC 9457)
inputs.py     bodies          queries.py  query strings          answers.py  what is answered
writes.py     an event into the journal, its outcome out of the books
pages.py      cursor pages
merchants.py products.py promoters.py links.py conversions.py why.py traces.py
ledger.py settlements.py payouts.py treasury.py withholding.py statements.py preview.py
reporting.py tokens.py audit.py          one module per group of resources
secret.py     secrets made for a caller, shown once
observe.py    /healthz /readyz /metrics
openapi.py    the machine-readable contract and its page, from the route table
"""
