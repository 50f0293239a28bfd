"""`target` as models and macros know it, for SQLFluff: the one of the profile that it lints (see `adapter`)."""

name = "build"
type = "duckdb"
