"""The admin API: reads SQL, writes by journaling events and waiting for what the bookkeeper makes of them.

app.py        composes it: settings → service → routes → aiohttp application
routes.py     a route and a call: who may, what comes in, what goes out
auth.py       tokens, roles, who sees what
session.py    a browser's cookie in place of a token
problems.py   every refusal's code and status (RFC 9457)
inputs.py     bodies          queries.py  query strings          answers.py  what is answered
*_inputs.py *_queries.py *_answers.py *_types.py                 the same for one group of resources
writes.py     an event into the journal, its outcome out of the books
pages.py      cursor pages
merchants.py products.py promoters.py links.py conversions.py why.py clicks.py traces.py
ledger.py settlements.py payouts.py treasury.py withholding.py statements.py preview.py
reporting.py tokens.py audit.py applications.py contests.py tiers.py fraud.py risk.py people.py retention.py
webhooks.py templates.py                 one module per group of resources
exports.py export_tables.py tables.py    whole lists as CSV and NDJSON
report_exports.py                        reports likewise
dashboard.py live.py                     the page's files, and what it hears each second
posters.py    what a poster and a text to copy may hold
secret.py     secrets made for a caller, shown once
observe.py    /healthz /readyz /metrics
openapi.py    the machine-readable contract and its page, from the route table
"""
