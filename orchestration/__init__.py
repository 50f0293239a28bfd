"""tenant-statements: land a carrier's records, attribute them with dbt, freeze one statement per tenant and month.

From the ground up, each importing only what stands before it: the flat modules here (clock, months, files, settings,
engine …), `landing` and `sources` (files become rows), `close` (a month becomes frozen files), `warehouse` (the cache
that answers queries), `commands` (what changes something), `reports` (what only reads), `runtime` and `defs` (Dagster),
`cli` and `demo`. Import concrete submodules; nothing is re-exported.
"""
