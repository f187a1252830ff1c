"""tuike (推客): affiliate tracking and commission, self-hosted.

A click's way: `edge` answers it and journals it, `process` folds it, `books` turn the order that follows into money,
`admin` shows both. `_core` is the Rust beneath all of them, `stores` is the SQL.

cli  *_commands  options  terminal           commands, thin
settling  importing  submission  rows        what commands bring in, applied by whoever keeps the books
demo  migrating  journal  configuring        commands' own work
backing  doctor  cookies                     commands' own work for operators: backups, what is wrong
verify/  replay/  statements  faults         proofs
reports/  views  risk  risk_model            what is shown
archive/                                     finished days as Parquet, and SQL on them
sending/                                     webhooks
process  touch_server  tenure                one machine: folds, books
erasing  retention                           what is forgotten, on request and in time
transport/  folder  bookkeeping  promises    many machines: what carries events, who folds hits, who keeps the books
joining  mirror  journal_http                many machines: what runs beside an edge
watching                                     many machines: what operators see of folds and books
observing  logs  control  clock  config  data  instants     what all share
"""

from importlib.metadata import version

__version__ = version("tuike")
