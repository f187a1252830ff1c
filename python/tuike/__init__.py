"""tuike (推客): affiliate tracking and commission, self-hosted.

A click's way: `edge` answers it and journals it, `process` folds it, `books` turn the order that follows into money,
`admin` shows both. `_core` is the Rust beneath all of them, `stores` is the SQL.

cli  options  journal_commands  terminal     commands, thin
settling  importing  submission  rows        what commands bring in, applied by whoever keeps the books
demo  migrating  journal                     commands' own work
verify/  replay/  statements  faults         proofs
reports  views                               what is shown
process  touch_server  tenure                one machine: folds, books
transport/  folder  bookkeeping  promises    many machines: what carries events, who folds hits, who keeps the books
joining  mirror  journal_http                many machines: what runs beside an edge
observing  control  clock  config  data  instants     what all share
"""

from importlib.metadata import version

__version__ = version("tuike")
