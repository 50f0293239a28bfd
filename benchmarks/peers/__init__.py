"""The same work on other engines, each with the best plan we know for it.

Every peer reads the landed Parquet of the month and, for free, the periods and lives that the month's records can meet
(`timelines.write_for_peers`). It drops superseded deliveries (rule 18: the latest wins), finds each record's tenant
(rules 8 to 10; no reasons, no evidence, no flags), writes every column with the tenant and the method to `detail`
(Parquet, zstd, in no order), and adds that up by tenant, service, direction and currency to `lines.parquet`. What no
peer does: peak channels, statements, checks, reading back, hashes, freezing.

What belongs in a module here: one engine. What does not: measuring, or comparing the sums.
"""
