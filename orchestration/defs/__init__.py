"""Declarations: what exists in Dagster. How things are done stands in the plain modules beside this package."""

OWNERS = ["team:billing"]
