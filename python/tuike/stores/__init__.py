"""SQL: what every database holds and how it is written.

engine  dialects  postgresql  bulk  breaker       databases: SQLite, PostgreSQL, MySQL, MariaDB; where they differ
schema/  migrations/                              tables
position  rollups  cuts  meta  tiles  erasures    what folds and books write
touches  leases  members  registry_changes        many machines: who works on what, who is there, what edges hear
moving                                            copies from one database to another
"""
