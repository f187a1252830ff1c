"""The books: what messages mean for money, in one order, decided once and posted.

bookkeeper  backlog  state                    numbers, journals, posts; what waits; what is kept in memory
records  posting  ledger  standings           what is read, decided and posted; transfers under one hash chain
orders  candidates  verdicts  touches         what an order means, which touches it is credited to, which of them count
settings  binding  path_ends  waiting         how a product attributes; whose customer one is; early refunds
split  booking  totals                        the pool over promoters and chains; rows, lines and sums of an order
fraud  flags  networks                        what holds an order until a person decides
payments  settlement  periods  days           decisions about no order; what is due, and when; a day's root
payouts  tax  treasury  contests              what is paid, withheld, moved by hand, won
registry  applications  webhooks  erasures    writes of the registry
templates                                     and of what promoters share
edge_registry  registry_log  entries          what edges must hear of it
daily_keys  defaults                          keys of addresses' pseudonyms; what a body is silent about
"""
