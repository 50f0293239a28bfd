"""tenant-statements: land a carrier's records, attribute them with dbt, freeze one statement per tenant and month.

`landing` takes files in, `close` turns a month into frozen files, `warehouse` makes them queryable, `defs` declares
all of it to Dagster, `cli` is the command line. Import concrete submodules; nothing is re-exported.
"""
