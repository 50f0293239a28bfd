"""Code and settings that Dagster's servers load. What does not belong here: declarations, which stand in `defs`."""
